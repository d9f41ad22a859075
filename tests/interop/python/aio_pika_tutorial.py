"""Tutorial six on aio-pika: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

AIO_PIKA_CONNECT is the function that connects: `connect`, or `connect_robust`, which names its own reply queue.
"""

import asyncio
import os
import sys
import uuid

import aio_pika


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


async def serve(channel, queue, queue_type):
    await channel.set_qos(prefetch_count=1)
    if queue_type == "quorum":
        requests = await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
    else:
        requests = await channel.declare_queue(queue)
    print(" [x] Awaiting RPC requests", flush=True)
    async with requests.iterator() as iterator:
        async for message in iterator:
            async with message.process(requeue=False):
                reply = aio_pika.Message(
                    body=str(fib(int(message.body))).encode(), correlation_id=message.correlation_id
                )
                await channel.default_exchange.publish(reply, routing_key=message.reply_to)


async def call(channel, queue, n):
    replies = await channel.declare_queue(exclusive=True)
    correlation_id = str(uuid.uuid4())
    got = asyncio.get_running_loop().create_future()

    async def on_response(message):
        if message.correlation_id == correlation_id:
            got.set_result(message.body)

    await replies.consume(on_response, no_ack=True)
    request = aio_pika.Message(
        n.encode(), content_type="text/plain", correlation_id=correlation_id, reply_to=replies.name
    )
    await channel.default_exchange.publish(request, routing_key=queue)
    print(f" [.] Got {int(await got)}")


async def main(role, *arguments):
    connect = getattr(aio_pika, os.environ["AIO_PIKA_CONNECT"])
    connection = await connect(os.environ["AMQP_URL"])
    async with connection:
        await (serve if role == "server" else call)(await connection.channel(), *arguments)


asyncio.run(main(*sys.argv[1:]))
