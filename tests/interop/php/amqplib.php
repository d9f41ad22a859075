<?php
// Tutorial six on php-amqplib: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

function fib(int $n): int
{
    [$a, $b] = [0, 1];
    while ($n-- > 1) {
        [$a, $b] = [$b, $a + $b];
    }
    return $n < 0 ? $a : $b;
}

function serve($channel, string $queue, string $type): void
{
    $quorum = $type === 'quorum';
    $arguments = $quorum ? new AMQPTable(['x-queue-type' => 'quorum']) : [];
    $channel->queue_declare($queue, false, $quorum, false, false, false, $arguments);
    $channel->basic_qos(null, 1, null);
    $channel->basic_consume($queue, '', false, false, false, false, function ($request) {
        $reply = new AMQPMessage((string) fib(intval($request->body)), [
            'correlation_id' => $request->get('correlation_id'),
        ]);
        $request->getChannel()->basic_publish($reply, '', $request->get('reply_to'));
        $request->ack();
    });
    echo " [x] Awaiting RPC requests\n";
    while ($channel->is_open()) {
        $channel->wait();
    }
}

function call($channel, string $queue, string $n): void
{
    [$replies] = $channel->queue_declare('', false, false, true, false);
    $id = uniqid('', true);
    $got = null;
    $channel->basic_consume($replies, '', false, true, false, false, function ($reply) use ($id, &$got) {
        if ($reply->get('correlation_id') === $id) {
            $got = $reply->body;
        }
    });
    $channel->basic_publish(new AMQPMessage($n, ['correlation_id' => $id, 'reply_to' => $replies]), '', $queue);
    while ($got === null) {
        $channel->wait();
    }
    echo ' [.] Got ', intval($got), "\n";
}

$url = parse_url(getenv('AMQP_URL'));
$connection = new AMQPStreamConnection($url['host'], $url['port'], $url['user'], $url['pass']);
$channel = $connection->channel();
$argv[1] === 'server' ? serve($channel, $argv[2], $argv[3]) : call($channel, $argv[2], $argv[3]);
$channel->close();
$connection->close();
