"""Tutorial six on pika: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL."""

import os
import sys
import uuid

import pika


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def serve(channel, queue, queue_type):
    if queue_type == "quorum":
        channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": "quorum"})
    else:
        channel.queue_declare(queue=queue)

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
    got = []

    def on_response(_ch, _method, props, body):
        if props.correlation_id == correlation_id:
            got.append(body)

    channel.basic_consume(queue=replies, on_message_callback=on_response, auto_ack=True)
    request = pika.BasicProperties(reply_to=replies, correlation_id=correlation_id)
    channel.basic_publish(exchange="", routing_key=queue, properties=request, body=n)
    while not got:
        channel.connection.process_data_events(time_limit=None)
    print(f" [.] Got {int(got[0])}")


role, *arguments = sys.argv[1:]
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    (serve if role == "server" else call)(connection.channel(), *arguments)
