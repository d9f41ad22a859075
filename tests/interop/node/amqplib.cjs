// Tutorial six on amqplib: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL.

const { randomUUID } = require("node:crypto");
const process = require("node:process");
const amqp = require("amqplib");
const { fib } = require("./fib.cjs");

async function serve(channel, queue, type) {
  await channel.assertQueue(
    queue,
    type === "quorum" ? { durable: true, arguments: { "x-queue-type": "quorum" } } : { durable: false },
  );
  await channel.prefetch(1);
  await channel.consume(queue, ({ content, fields, properties }) => {
    const { replyTo, correlationId } = properties;
    channel.sendToQueue(replyTo, Buffer.from(fib(parseInt(content.toString()))), { correlationId });
    channel.ack({ fields });
  });
  console.log(" [x] Awaiting RPC requests");
}

async function call(channel, queue, n) {
  const { queue: replyTo } = await channel.assertQueue("", { exclusive: true });
  const correlationId = randomUUID();
  const reply = new Promise((resolve) => {
    channel.consume(replyTo, ({ content, properties }) => {
      if (properties.correlationId === correlationId) resolve(content.toString());
    }, { noAck: true });
  });
  channel.sendToQueue(queue, Buffer.from(n), { correlationId, replyTo });
  console.log(" [.] Got %s", await reply);
}

async function main([role, ...rest]) {
  const connection = await amqp.connect(process.env.AMQP_URL);
  const channel = await connection.createChannel();
  if (role === "server") return await serve(channel, ...rest);
  await call(channel, ...rest);
  await connection.close();
}

main(process.argv.slice(2));
