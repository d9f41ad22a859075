"""A plain tutorial-six pair on pika, without anything of ours: `server QUEUE [quorum]` or `client QUEUE N`, at AMQP_URL."""

import os
import sys
import uuid

import pika


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def serve(channel, queue, queue_type=None):
    if queue_type is None:
        channel.queue_declare(queue=queue)
    else:
        channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": queue_type})

    def on_request(ch, method, props, body):
        reply = pika.BasicProperties(correlation_id=props.correlation_id)
        ch.basic_publish(exchange="", routing_key=props.reply_to, properties=reply, body=str(fib(int(body))))
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=queue, on_message_callback=on_request)
    print(" [x] Awaiting RPC requests", flush=True)
    channel.start_consuming()


def call(channel, queue, n):
    replies = channel.queue_declare(queue="", exclusive=True).method.queue
    correlation_id = str(uuid.uuid4())

    def on_response(_ch, _method, props, body):
        if props.correlation_id == correlation_id:
            print(" [.] Got", body.decode(), flush=True)
            channel.stop_consuming()

    channel.basic_consume(queue=replies, on_message_callback=on_response, auto_ack=True)
    traceparent = os.environ.get("TRACEPARENT")
    headers = {"traceparent": traceparent} if traceparent else None
    request = pika.BasicProperties(reply_to=replies, correlation_id=correlation_id, headers=headers)
    channel.basic_publish(exchange="", routing_key=queue, properties=request, body=n)
    channel.start_consuming()


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
role, queue, *rest = sys.argv[1:]
if role == "server":
    serve(connection.channel(), queue, *rest)
else:
    call(connection.channel(), queue, rest[0])
connection.close()
