"""Tutorial six on aioamqp: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL."""

import asyncio
import os
import sys
import uuid

import aioamqp


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


async def serve(channel, queue, queue_type):
    if queue_type == "quorum":
        await channel.queue_declare(queue_name=queue, durable=True, arguments={"x-queue-type": "quorum"})
    else:
        await channel.queue_declare(queue_name=queue)

    async def on_request(channel, body, envelope, properties):
        await channel.basic_publish(
            payload=str(fib(int(body))).encode(),
            exchange_name="",
            routing_key=properties.reply_to,
            properties={"correlation_id": properties.correlation_id},
        )
        await channel.basic_client_ack(delivery_tag=envelope.delivery_tag)

    await channel.basic_qos(prefetch_count=1, prefetch_size=0, connection_global=False)
    await channel.basic_consume(on_request, queue_name=queue)
    print(" [x] Awaiting RPC requests", flush=True)
    await asyncio.Event().wait()


async def call(channel, queue, n):
    replies = (await channel.queue_declare(queue_name="", exclusive=True))["queue"]
    correlation_id = str(uuid.uuid4())
    got = asyncio.get_running_loop().create_future()

    async def on_response(_channel, body, _envelope, properties):
        if properties.correlation_id == correlation_id:
            got.set_result(body)

    await channel.basic_consume(on_response, no_ack=True, queue_name=replies)
    await channel.basic_publish(
        payload=n.encode(),
        exchange_name="",
        routing_key=queue,
        properties={"reply_to": replies, "correlation_id": correlation_id},
    )
    print(f" [.] Got {int(await got)}")


async def main(role, *arguments):
    transport, protocol = await aioamqp.from_url(os.environ["AMQP_URL"])
    await (serve if role == "server" else call)(await protocol.channel(), *arguments)
    await protocol.close()
    transport.close()


asyncio.run(main(*sys.argv[1:]))
