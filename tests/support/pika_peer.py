"""A plain tutorial-six pair on pika, without anything of ours: `server QUEUE [quorum]` or `client QUEUE N`, at AMQP_URL.

NAME=VALUE after that are the headers of its messages; headers that come are printed as JSON.
"""

import json
import os
import sys
import uuid

import pika


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def show_headers(props):
    if props.headers:
        print(json.dumps(props.headers, sort_keys=True), flush=True)


def serve(channel, headers, queue, queue_type=None):
    if queue_type is None:
        channel.queue_declare(queue=queue)
    else:
        channel.queue_declare(queue=queue, durable=True, arguments={"x-queue-type": queue_type})

    def on_request(ch, method, props, body):
        show_headers(props)
        reply = pika.BasicProperties(correlation_id=props.correlation_id, headers=headers)
        ch.basic_publish(exchange="", routing_key=props.reply_to, properties=reply, body=str(fib(int(body))))
        ch.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue=queue, on_message_callback=on_request)
    print(" [x] Awaiting RPC requests", flush=True)
    channel.start_consuming()


def call(channel, headers, queue, n):
    replies = channel.queue_declare(queue="", exclusive=True).method.queue
    correlation_id = str(uuid.uuid4())

    def on_response(_ch, _method, props, body):
        if props.correlation_id == correlation_id:
            print(" [.] Got", body.decode(), flush=True)
            show_headers(props)
            channel.stop_consuming()

    channel.basic_consume(queue=replies, on_message_callback=on_response, auto_ack=True)
    request = pika.BasicProperties(reply_to=replies, correlation_id=correlation_id, headers=headers)
    channel.basic_publish(exchange="", routing_key=queue, properties=request, body=n)
    channel.start_consuming()


connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
role, *rest = sys.argv[1:]
headers = dict(text.split("=", 1) for text in rest if "=" in text) or None
run = serve if role == "server" else call
run(connection.channel(), headers, *(text for text in rest if "=" not in text))
connection.close()
