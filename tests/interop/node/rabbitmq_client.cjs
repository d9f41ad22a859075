// Tutorial six on rabbitmq-client: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL. Its RPC client
// uses direct reply-to.

const process = require("node:process");
const { Connection } = require("rabbitmq-client");
const { fib } = require("./fib.cjs");

function serve(connection, queue, type) {
  const queueOptions = type === "quorum"
    ? { durable: true, arguments: { "x-queue-type": "quorum" } }
    : { durable: false };
  const consumer = connection.createConsumer(
    { queue, queueOptions, qos: { prefetchCount: 1 } },
    async ({ body }, reply) => await reply(fib(parseInt(body))),
  );
  consumer.on("error", (error) => console.error(error));
  consumer.on("ready", () => console.log(" [x] Awaiting RPC requests"));
}

async function call(connection, queue, n) {
  const client = connection.createRPCClient();
  const { body } = await client.send(queue, n);
  console.log(" [.] Got %s", body);
  await client.close();
  await connection.close();
}

const [role, ...rest] = process.argv.slice(2);
(role === "server" ? serve : call)(new Connection(process.env.AMQP_URL), ...rest);
