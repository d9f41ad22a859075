# Tutorial six on Mojo::RabbitMQ::Client: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

use strict;
use warnings;
use Mojo::IOLoop;
use Mojo::RabbitMQ::Client;

$| = 1;

sub fib {
    my ($n) = @_;
    my ($x, $y) = (0, 1);
    ($x, $y) = ($y, $x + $y) while $n-- > 0;
    return $x;
}

my ($role, $name, $argument) = @ARGV;

sub failed { warn "Cannot go on: $_[-1]\n"; exit 1 }

# Calls the method, and `then` with the broker's answer.
sub ask {
    my ($method, $then) = @_;
    $method->on(success => $then);
    $method->catch(\&failed);
    $method->deliver;
}

sub serve {
    my ($channel) = @_;
    my %quorum = $argument eq 'quorum' ? (durable => 1, arguments => { 'x-queue-type' => 'quorum' }) : ();
    ask($channel->declare_queue(queue => $name, %quorum), sub {
        ask($channel->qos(prefetch_count => 1), sub {
            my $consumer = $channel->consume(queue => $name, no_ack => 0);
            $consumer->on(message => sub {
                my ($client, $request) = @_;
                $channel->publish(
                    exchange    => '',
                    routing_key => $request->{header}->reply_to,
                    header      => { correlation_id => $request->{header}->correlation_id },
                    body        => '' . fib($request->{body}->payload),
                )->deliver;
                $channel->ack($request)->deliver;
            });
            ask($consumer, sub { print " [x] Awaiting RPC requests\n" });
        });
    });
}

sub call {
    my ($channel) = @_;
    my $id = "$$-" . rand();
    ask($channel->declare_queue(queue => '', exclusive => 1), sub {
        my $replies = $_[1]->method_frame->queue;
        my $consumer = $channel->consume(queue => $replies, no_ack => 1);
        $consumer->on(message => sub {
            my ($client, $reply) = @_;
            return if $reply->{header}->correlation_id ne $id;
            print ' [.] Got ', $reply->{body}->payload, "\n";
            Mojo::IOLoop->stop;
        });
        ask($consumer, sub {
            $channel->publish(
                exchange    => '',
                routing_key => $name,
                header      => { reply_to => $replies, correlation_id => $id },
                body        => $argument,
            )->deliver;
        });
    });
}

my $client = Mojo::RabbitMQ::Client->new(url => $ENV{AMQP_URL});
$client->catch(\&failed);
$client->on(open => sub {
    my $channel = Mojo::RabbitMQ::Client::Channel->new;
    $channel->catch(\&failed);
    $channel->on(open => sub { $role eq 'server' ? serve(@_) : call(@_) });
    $client->open_channel($channel);
});
$client->connect;
Mojo::IOLoop->start unless Mojo::IOLoop->is_running;
