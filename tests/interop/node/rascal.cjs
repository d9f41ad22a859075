// Tutorial six on rascal: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL. The client's reply queue is
// exclusive and named by rascal (`replyTo: true`).

const { randomUUID } = require("node:crypto");
const process = require("node:process");
const { BrokerAsPromised } = require("rascal");
const { fib } = require("./fib.cjs");

async function open(queues, publication, subscription) {
  const broker = await BrokerAsPromised.create({
    vhosts: { "/": { connection: { url: process.env.AMQP_URL }, exchanges: [""], queues } },
    // Not in the vhost, where rascal 21.0.1 takes a reply queue's name twice if the exchange is the default one.
    publications: { publication: { vhost: "/", exchange: "", ...publication } },
    subscriptions: { subscription: { vhost: "/", ...subscription } },
  });
  broker.on("error", (error) => console.error(error));
  return broker;
}

async function serve(queue, type) {
  const options = type === "quorum" ? { durable: true, arguments: { "x-queue-type": "quorum" } } : { durable: false };
  const broker = await open({ [queue]: { options } }, {}, { queue, prefetch: 1 });
  const subscription = await broker.subscribe("subscription");
  subscription.on("message", async ({ properties }, content, ackOrNack) => {
    const { replyTo, correlationId } = properties;
    await broker.publish("publication", fib(parseInt(content)), { routingKey: replyTo, options: { correlationId } });
    ackOrNack();
  });
  console.log(" [x] Awaiting RPC requests");
}

async function call(queue, n) {
  const broker = await open(
    { replies: { replyTo: true, options: { exclusive: true, autoDelete: true } } },
    { routingKey: queue, replyTo: "replies" },
    { queue: "replies", options: { noAck: true } },
  );
  const correlationId = randomUUID();
  const subscription = await broker.subscribe("subscription");
  const reply = new Promise((resolve) => {
    subscription.on("message", ({ properties }, content) => {
      if (properties.correlationId === correlationId) resolve(content);
    });
  });
  await broker.publish("publication", n, { options: { correlationId } });
  const got = await reply;
  console.log(" [.] Got %s", Buffer.isBuffer(got) ? got.toString() : got);
  await broker.shutdown();
}

const [role, ...rest] = process.argv.slice(2);
(role === "server" ? serve : call)(...rest);
