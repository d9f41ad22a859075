// Tutorial six on amqp-connection-manager: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

const { randomUUID } = require("node:crypto");
const process = require("node:process");
const amqp = require("amqp-connection-manager");
const { fib } = require("./fib.cjs");

async function serve(connection, queue, type) {
  const wrapper = connection.createChannel({
    setup: async (channel) => {
      await channel.assertQueue(
        queue,
        type === "quorum" ? { durable: true, arguments: { "x-queue-type": "quorum" } } : { durable: false },
      );
      await channel.prefetch(1);
      await channel.consume(queue, (request) => {
        const { replyTo, correlationId } = request.properties;
        channel.sendToQueue(replyTo, Buffer.from(fib(parseInt(request.content.toString()))), { correlationId });
        channel.ack(request);
      });
    },
  });
  await wrapper.waitForConnect();
  console.log(" [x] Awaiting RPC requests");
}

async function call(connection, queue, n) {
  const correlationId = randomUUID();
  let replyTo, resolve;
  const reply = new Promise((settle) => resolve = settle);
  const wrapper = connection.createChannel({
    setup: async (channel) => {
      ({ queue: replyTo } = await channel.assertQueue("", { exclusive: true }));
      await channel.consume(replyTo, ({ content, properties }) => {
        if (properties.correlationId === correlationId) resolve(content.toString());
      }, { noAck: true });
    },
  });
  await wrapper.waitForConnect();
  await wrapper.sendToQueue(queue, Buffer.from(n), { correlationId, replyTo });
  console.log(" [.] Got %s", await reply);
}

async function main([role, ...rest]) {
  const connection = amqp.connect([process.env.AMQP_URL]);
  if (role === "server") return await serve(connection, ...rest);
  await call(connection, ...rest);
  await connection.close();
}

main(process.argv.slice(2));
