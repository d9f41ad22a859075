"""RabbitMQ's tutorial six in Python, one call at a time; speaks with the bench as worker.ts does."""

import json
import os
import resource
import sys
import threading
import time
import uuid

import pika

role, load = sys.argv[1], json.loads(sys.argv[2])


def say(message):
    print(json.dumps(message), flush=True)


def usage():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {"cpu": used.ru_utime + used.ru_stime, "peakRss": peak * 1024}


def open_channel():
    return pika.BlockingConnection(pika.URLParameters(load["url"])).channel()


def serve():
    channel = open_channel()
    channel.queue_declare(queue=load["queue"], durable=True, arguments={"x-queue-type": load["queueKind"]})

    def on_request(channel, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        channel.basic_publish(exchange="", routing_key=properties.reply_to, properties=reply, body=body)
        channel.basic_ack(delivery_tag=method.delivery_tag)

    channel.basic_qos(prefetch_count=load["prefetch"])
    channel.basic_consume(queue=load["queue"], on_message_callback=on_request)
    say({"type": "ready"})
    channel.start_consuming()


class Client:
    def __init__(self):
        self.channel = open_channel()
        self.reply_queue = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(queue=self.reply_queue, on_message_callback=self.on_reply, auto_ack=True)

    def on_reply(self, channel, method, properties, body):
        if properties.correlation_id == self.id:
            self.reply = body

    def call(self, request):
        self.reply, self.id = None, str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.reply_queue, correlation_id=self.id)
        self.channel.basic_publish(exchange="", routing_key=load["queue"], properties=properties, body=request)
        while self.reply is None:
            self.channel.connection.process_data_events(time_limit=None)
        return self.reply


def measure():
    client = Client()
    requests = [str(n).encode() * -(-load["bodyBytes"] // 2) for n in range(10, 100)]
    warm_at = time.perf_counter() + load["warmUp"] / 1000
    opened, latencies, n = None, [], 0
    while True:
        request = requests[n % len(requests)]
        n += 1
        started_at = time.perf_counter()
        if client.call(request) != request:
            return say({"type": "failed", "wrongReply": True, "message": "A reply is not the request that it answers"})
        now = time.perf_counter()
        if opened is not None:
            latencies.append(now - started_at)
            if now - opened >= load["window"] / 1000:
                break
        elif now >= warm_at:
            opened = now
            say({"type": "opened", "usage": usage()})
    say({"type": "closed", "usage": usage()})
    latencies.sort()
    count = len(latencies)
    say({
        "type": "measured",
        "measured": {
            "calls": count,
            "callsPerSecond": count / (now - opened),
            "p50": latencies[count // 2] * 1000,
            "p99": latencies[min(count - 1, int(count * 0.99))] * 1000,
        },
    })


def listen():
    for line in sys.stdin:
        if line.strip() == "usage":
            say({"type": "usage", "usage": usage()})
        elif line.strip() == "go":
            threading.Thread(target=measure, daemon=True).start()
    os._exit(0)


if role == "server":
    threading.Thread(target=serve, daemon=True).start()
else:
    say({"type": "ready"})
listen()
