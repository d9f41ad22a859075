// Tutorial six on @cloudamqp/amqp-client: `server QUEUE quorum|transient` or `client QUEUE N`, at AMQP_URL. Its RPC
// client uses direct reply-to.

const process = require("node:process");
const { AMQPSession } = require("@cloudamqp/amqp-client");
const { fib } = require("./fib.cjs");

async function serve(session, queue, type) {
  await session.queue(
    queue,
    type === "quorum" ? { durable: true, arguments: { "x-queue-type": "quorum" } } : { durable: false },
  );
  await session.rpcServer(queue, (request) => fib(parseInt(request.bodyString())), 1);
  console.log(" [x] Awaiting RPC requests");
}

async function call(session, queue, n) {
  const client = await session.rpcClient();
  console.log(" [.] Got %s", (await client.call(queue, n)).bodyString());
  await session.stop();
}

async function main([role, ...rest]) {
  await (role === "server" ? serve : call)(await AMQPSession.connect(process.env.AMQP_URL), ...rest);
}

main(process.argv.slice(2));
