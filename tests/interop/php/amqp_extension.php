<?php
// Tutorial six on PHP's extension amqp: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

function fib(int $n): int
{
    [$a, $b] = [0, 1];
    while ($n-- > 1) {
        [$a, $b] = [$b, $a + $b];
    }
    return $n < 0 ? $a : $b;
}

function serve(AMQPChannel $channel, string $name, string $type): void
{
    $channel->setPrefetchCount(1);
    $queue = new AMQPQueue($channel);
    $queue->setName($name);
    if ($type === 'quorum') {
        $queue->setFlags(AMQP_DURABLE);
        $queue->setArgument('x-queue-type', 'quorum');
    }
    $queue->declareQueue();
    $exchange = new AMQPExchange($channel);
    echo " [x] Awaiting RPC requests\n";
    $queue->consume(function (AMQPEnvelope $request, AMQPQueue $queue) use ($exchange) {
        $exchange->publish((string) fib(intval($request->getBody())), $request->getReplyTo(), AMQP_NOPARAM, [
            'correlation_id' => $request->getCorrelationId(),
        ]);
        $queue->ack($request->getDeliveryTag());
    });
}

function call(AMQPChannel $channel, string $name, string $n): void
{
    $replies = new AMQPQueue($channel);
    $replies->setFlags(AMQP_EXCLUSIVE);
    $replies->declareQueue();
    $id = uniqid('', true);
    $exchange = new AMQPExchange($channel);
    $exchange->publish($n, $name, AMQP_NOPARAM, ['correlation_id' => $id, 'reply_to' => $replies->getName()]);
    $replies->consume(function (AMQPEnvelope $reply) use ($id) {
        if ($reply->getCorrelationId() !== $id) {
            return true;
        }
        echo ' [.] Got ', $reply->getBody(), "\n";
        return false;
    }, AMQP_AUTOACK);
}

$url = parse_url(getenv('AMQP_URL'));
$connection = new AMQPConnection([
    'host' => $url['host'],
    'port' => $url['port'],
    'login' => $url['user'],
    'password' => $url['pass'],
]);
$connection->connect();
$channel = new AMQPChannel($connection);
$argv[1] === 'server' ? serve($channel, $argv[2], $argv[3]) : call($channel, $argv[2], $argv[3]);
$connection->disconnect();
