"""Tutorial six on kombu: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

The client names its own exclusive reply queue, as kombu's users do.
"""

import os
import sys
import uuid

from kombu import Connection, Consumer, Producer, Queue


def fib(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def serve(connection, queue, queue_type):
    if queue_type == "quorum":
        requests = Queue(queue, durable=True, queue_arguments={"x-queue-type": "quorum"})
    else:
        requests = Queue(queue, durable=False)
    producer = Producer(connection.channel())

    def on_request(message):
        producer.publish(
            str(fib(int(message.body))),
            exchange="",
            routing_key=message.properties["reply_to"],
            correlation_id=message.properties["correlation_id"],
        )
        message.ack()

    with Consumer(connection, queues=[requests], on_message=on_request, prefetch_count=1):
        print(" [x] Awaiting RPC requests", flush=True)
        while True:
            connection.drain_events()


def call(connection, queue, n):
    replies = Queue(str(uuid.uuid4()), exclusive=True, auto_delete=True)
    correlation_id = str(uuid.uuid4())
    got = []

    def on_response(message):
        if message.properties.get("correlation_id") == correlation_id:
            got.append(message.body)

    with Consumer(connection, queues=[replies], on_message=on_response, no_ack=True):
        Producer(connection.channel()).publish(
            n, exchange="", routing_key=queue, reply_to=replies.name, correlation_id=correlation_id
        )
        while not got:
            connection.drain_events()
    print(f" [.] Got {int(got[0])}")


role, *arguments = sys.argv[1:]
with Connection(os.environ["AMQP_URL"]) as connection:
    (serve if role == "server" else call)(connection, *arguments)
