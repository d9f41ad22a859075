// Tutorial six in C++ on rabbitmq-c: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

namespace {

std::uint64_t fib(int n) {
  std::uint64_t a = 0, b = 1;
  for (; n > 0; n--) {
    const auto sum = a + b;
    a = b;
    b = sum;
  }
  return a;
}

amqp_bytes_t bytes(const std::string &text) { return {text.size(), const_cast<char *>(text.data())}; }

std::string text(amqp_bytes_t bytes) { return {static_cast<const char *>(bytes.bytes), bytes.len}; }

struct Message {
  std::uint64_t tag;
  std::string body, correlation_id, reply_to;
};

class Channel {
 public:
  explicit Channel(std::string url) : connection_(amqp_new_connection()) {
    amqp_connection_info info;
    if (amqp_parse_url(url.data(), &info) != AMQP_STATUS_OK) throw std::runtime_error("Cannot read AMQP_URL");
    if (amqp_socket_open(amqp_tcp_socket_new(connection_), info.host, info.port) != AMQP_STATUS_OK) {
      throw std::runtime_error("Cannot connect");
    }
    check(amqp_login(connection_, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password));
    amqp_channel_open(connection_, 1);
    check(amqp_get_rpc_reply(connection_));
  }
  Channel(const Channel &) = delete;
  Channel &operator=(const Channel &) = delete;
  ~Channel() {
    amqp_connection_close(connection_, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection_);
  }

  void declare(const std::string &queue, bool quorum) {
    amqp_table_entry_t entry;
    entry.key = amqp_cstring_bytes("x-queue-type");
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes("quorum");
    amqp_queue_declare(connection_, 1, bytes(queue), 0, quorum, 0, 0, {quorum ? 1 : 0, &entry});
    check(amqp_get_rpc_reply(connection_));
  }

  std::string declare_exclusive() {
    const auto *declared = amqp_queue_declare(connection_, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    check(amqp_get_rpc_reply(connection_));
    return text(declared->queue);
  }

  void consume(const std::string &queue, bool no_ack) {
    amqp_basic_qos(connection_, 1, 0, 1, 0);
    amqp_basic_consume(connection_, 1, bytes(queue), amqp_empty_bytes, 0, no_ack, 0, amqp_empty_table);
    check(amqp_get_rpc_reply(connection_));
  }

  Message next() {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection_);
    check(amqp_consume_message(connection_, &envelope, nullptr, 0));
    const auto &properties = envelope.message.properties;
    Message message{envelope.delivery_tag, text(envelope.message.body), text(properties.correlation_id), ""};
    if (properties._flags & AMQP_BASIC_REPLY_TO_FLAG) message.reply_to = text(properties.reply_to);
    amqp_destroy_envelope(&envelope);
    return message;
  }

  void publish(const std::string &queue, const Message &message) {
    amqp_basic_properties_t properties{};
    properties._flags = AMQP_BASIC_CORRELATION_ID_FLAG;
    properties.correlation_id = bytes(message.correlation_id);
    if (!message.reply_to.empty()) {
      properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
      properties.reply_to = bytes(message.reply_to);
    }
    amqp_basic_publish(connection_, 1, amqp_empty_bytes, bytes(queue), 0, 0, &properties, bytes(message.body));
  }

  void ack(std::uint64_t tag) { amqp_basic_ack(connection_, 1, tag, 0); }

 private:
  static void check(amqp_rpc_reply_t reply) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) throw std::runtime_error("The broker refused");
  }

  amqp_connection_state_t connection_;
};

void serve(Channel &channel, const std::string &queue, bool quorum) {
  channel.declare(queue, quorum);
  channel.consume(queue, false);
  std::cout << " [x] Awaiting RPC requests" << std::endl;
  for (;;) {
    const auto request = channel.next();
    channel.publish(request.reply_to, {0, std::to_string(fib(std::stoi(request.body))), request.correlation_id, ""});
    channel.ack(request.tag);
  }
}

void call(Channel &channel, const std::string &queue, const std::string &n) {
  const auto replies = channel.declare_exclusive();
  channel.consume(replies, true);
  const auto id = std::to_string(getpid());
  channel.publish(queue, {0, n, id, replies});
  for (;;) {
    const auto reply = channel.next();
    if (reply.correlation_id != id) continue;
    std::cout << " [.] Got " << reply.body << std::endl;
    return;
  }
}

}  // namespace

int main(int argc, char **argv) {
  const std::vector<std::string> arguments(argv, argv + argc);
  try {
    Channel channel(std::getenv("AMQP_URL"));
    if (arguments.at(1) == "server") {
      serve(channel, arguments.at(2), arguments.at(3) == "quorum");
    } else {
      call(channel, arguments.at(2), arguments.at(3));
    }
  } catch (const std::exception &error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}
