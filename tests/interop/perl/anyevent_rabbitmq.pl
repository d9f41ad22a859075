# Tutorial six on AnyEvent::RabbitMQ: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

use strict;
use warnings;
use AnyEvent;
use AnyEvent::RabbitMQ;

$| = 1;

sub fib {
    my ($n) = @_;
    my ($x, $y) = (0, 1);
    ($x, $y) = ($y, $x + $y) while $n-- > 0;
    return $x;
}

sub failed { die "Cannot go on: @_\n" }

my ($role, $queue, $argument) = @ARGV;
my ($user, $pass, $host, $port) = $ENV{AMQP_URL} =~ m{^amqp://([^:]+):([^@]+)@([^:/]+):(\d+)} or die "AMQP_URL\n";
my $end = AnyEvent->condvar;
my $rabbit = AnyEvent::RabbitMQ->new->load_xml_spec;

sub serve {
    my ($channel) = @_;
    my %quorum = $argument eq 'quorum' ? (durable => 1, arguments => { 'x-queue-type' => 'quorum' }) : ();
    my $on_request = sub {
        my ($request) = @_;
        my $properties = $request->{header};
        $channel->publish(
            exchange    => '',
            routing_key => $properties->{reply_to},
            header      => { correlation_id => $properties->{correlation_id} },
            body        => '' . fib($request->{body}->payload),
        );
        $channel->ack(delivery_tag => $request->{deliver}{method_frame}->delivery_tag);
    };
    my $consume = sub {
        $channel->qos(prefetch_count => 1);
        $channel->consume(
            queue      => $queue,
            no_ack     => 0,
            on_success => sub { print " [x] Awaiting RPC requests\n" },
            on_failure => \&failed,
            on_consume => $on_request,
        );
    };
    $channel->declare_queue(queue => $queue, %quorum, on_success => $consume, on_failure => \&failed);
}

sub call {
    my ($channel) = @_;
    my $id = "$$-" . rand();
    my $on_response = sub {
        my ($reply) = @_;
        return if $reply->{header}{correlation_id} ne $id;
        print ' [.] Got ', $reply->{body}->payload, "\n";
        $end->send;
    };
    my $publish = sub {
        my ($replies) = @_;
        $channel->consume(
            queue      => $replies,
            no_ack     => 1,
            on_consume => $on_response,
            on_failure => \&failed,
            on_success => sub {
                $channel->publish(
                    exchange    => '',
                    routing_key => $queue,
                    header      => { reply_to => $replies, correlation_id => $id },
                    body        => $argument,
                );
            },
        );
    };
    $channel->declare_queue(
        queue      => '',
        exclusive  => 1,
        on_success => sub { $publish->($_[0]->method_frame->queue) },
        on_failure => \&failed,
    );
}

$rabbit->connect(
    host       => $host,
    port       => $port,
    user       => $user,
    pass       => $pass,
    vhost      => '/',
    timeout    => 5,
    on_failure => \&failed,
    on_close   => \&failed,
    on_read_failure => \&failed,
    on_success => sub {
        shift->open_channel(
            on_success => sub { $role eq 'server' ? serve(@_) : call(@_) },
            on_failure => \&failed,
            on_close   => \&failed,
        );
    },
);
$end->recv;
