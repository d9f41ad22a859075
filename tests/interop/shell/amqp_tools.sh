#!/bin/sh
# Tutorial six with amqp-tools: `client QUEUE N`, at AMQP_URL. They know no correlation id, and amqp-consume does not
# tell its command the reply_to, so there is no server.
set -eu

queue=$2 n=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
amqp-consume -u "$AMQP_URL" --no-ack --count=1 cat >"$folder/reply" 2>"$folder/queue" &
# "Server provided queue name: amq.gen-..."
until replies=$(sed -n 's/.*queue name: //p' "$folder/queue") && [ -n "$replies" ]; do sleep 0.05; done
amqp-publish -u "$AMQP_URL" --routing-key="$queue" --reply-to="$replies" --body="$n"
wait $!
echo " [.] Got $(cat "$folder/reply")"
