# Tutorial six on Bunny: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

require 'bunny'
require 'securerandom'

def fib(n)
  a, b = 0, 1
  n.times { a, b = b, a + b }
  a
end

def serve(channel, name, type)
  options = type == 'quorum' ? { durable: true, arguments: { 'x-queue-type' => 'quorum' } } : {}
  queue = channel.queue(name, **options)
  channel.prefetch(1)
  queue.subscribe(manual_ack: true) do |delivery, properties, body|
    channel.default_exchange.publish(
      fib(body.to_i).to_s, routing_key: properties.reply_to, correlation_id: properties.correlation_id
    )
    channel.ack(delivery.delivery_tag)
  end
  puts ' [x] Awaiting RPC requests'
  $stdout.flush
  sleep
end

def call(channel, name, n)
  replies = channel.queue('', exclusive: true)
  id = SecureRandom.uuid
  got = Queue.new
  replies.subscribe { |_delivery, properties, body| got << body if properties.correlation_id == id }
  channel.default_exchange.publish(n, routing_key: name, correlation_id: id, reply_to: replies.name)
  puts " [.] Got #{got.pop.to_i}"
end

role, *arguments = ARGV
connection = Bunny.new(ENV.fetch('AMQP_URL'))
connection.start
channel = connection.create_channel
role == 'server' ? serve(channel, *arguments) : call(channel, *arguments)
connection.close
