/* Tutorial six on rabbitmq-c: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

static void check(int right, const char *what) {
  if (right) return;
  fprintf(stderr, "Cannot %s\n", what);
  exit(1);
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
  check(reply.reply_type == AMQP_RESPONSE_NORMAL, what);
}

static uint64_t fib(int n) {
  uint64_t a = 0, b = 1;
  for (; n > 0; n--) {
    uint64_t sum = a + b;
    a = b;
    b = sum;
  }
  return a;
}

static void publish(amqp_connection_state_t connection, amqp_bytes_t queue, amqp_bytes_t id, const char *reply_to,
                    const char *body) {
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_CORRELATION_ID_FLAG, .correlation_id = id};
  if (reply_to != NULL) {
    properties._flags |= AMQP_BASIC_REPLY_TO_FLAG;
    properties.reply_to = amqp_cstring_bytes(reply_to);
  }
  check(amqp_basic_publish(connection, 1, amqp_empty_bytes, queue, 0, 0, &properties, amqp_cstring_bytes(body)) ==
            AMQP_STATUS_OK,
        "publish");
}

static void next(amqp_connection_state_t connection, amqp_envelope_t *envelope) {
  amqp_maybe_release_buffers(connection);
  check_reply(amqp_consume_message(connection, envelope, NULL, 0), "consume");
}

static void serve(amqp_connection_state_t connection, const char *queue, int quorum) {
  amqp_table_entry_t entry = {.key = amqp_cstring_bytes("x-queue-type"),
                              .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes("quorum")}}};
  amqp_table_t arguments = {.num_entries = quorum, .entries = &entry};
  amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue), 0, quorum, 0, 0, arguments);
  check_reply(amqp_get_rpc_reply(connection), "declare the queue");
  amqp_basic_qos(connection, 1, 0, 1, 0);
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check_reply(amqp_get_rpc_reply(connection), "consume");
  printf(" [x] Awaiting RPC requests\n");
  fflush(stdout);
  for (;;) {
    amqp_envelope_t request;
    char text[32] = "";
    char result[32];
    next(connection, &request);
    if (request.message.body.len < sizeof text) memcpy(text, request.message.body.bytes, request.message.body.len);
    snprintf(result, sizeof result, "%" PRIu64, fib(atoi(text)));
    publish(connection, request.message.properties.reply_to, request.message.properties.correlation_id, NULL, result);
    amqp_basic_ack(connection, 1, request.delivery_tag, 0);
    amqp_destroy_envelope(&request);
  }
}

static void call(amqp_connection_state_t connection, const char *queue, const char *n) {
  char replies[256] = "";
  char id[32];
  amqp_queue_declare_ok_t *declared =
      amqp_queue_declare(connection, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
  check_reply(amqp_get_rpc_reply(connection), "declare the reply queue");
  memcpy(replies, declared->queue.bytes, declared->queue.len);
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(replies), amqp_empty_bytes, 0, 1, 0, amqp_empty_table);
  check_reply(amqp_get_rpc_reply(connection), "consume");
  snprintf(id, sizeof id, "%d", (int)getpid());
  publish(connection, amqp_cstring_bytes(queue), amqp_cstring_bytes(id), replies, n);
  for (;;) {
    amqp_envelope_t reply;
    next(connection, &reply);
    amqp_bytes_t got = reply.message.properties.correlation_id;
    if (got.len == strlen(id) && memcmp(got.bytes, id, got.len) == 0) {
      printf(" [.] Got %.*s\n", (int)reply.message.body.len, (const char *)reply.message.body.bytes);
      return;
    }
    amqp_destroy_envelope(&reply);
  }
}

int main(int argc, char **argv) {
  char *url = strdup(getenv("AMQP_URL"));
  struct amqp_connection_info info;
  check(argc == 4 && amqp_parse_url(url, &info) == AMQP_STATUS_OK, "read the arguments");
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  check(amqp_socket_open(socket, info.host, info.port) == AMQP_STATUS_OK, "connect");
  check_reply(amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password),
              "log in");
  amqp_channel_open(connection, 1);
  check_reply(amqp_get_rpc_reply(connection), "open a channel");
  if (strcmp(argv[1], "server") == 0) {
    serve(connection, argv[2], strcmp(argv[3], "quorum") == 0);
  } else {
    call(connection, argv[2], argv[3]);
  }
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(connection);
  free(url);
  return 0;
}
