import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { answers, Broker } from "./broker.ts";
import { deleteQueue, live, plainCall, publishRaw, queueInfo, waitFor, withChannel } from "./live.ts";
import { PLAIN } from "./script.ts";
import { relay } from "./relay.ts";

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

Deno.test("waitFor() names what did not come", async () => {
  assertEquals(await waitFor("the number is there", () => 5), 5);
  await assertRejects(() => waitFor("pigs fly", () => false, 20), Error, "Waited 20 ms in vain until pigs fly");
});

live("queueInfo() counts messages, and is undefined for a queue that does not exist", async ({ url, queue }) => {
  assertEquals(await queueInfo(url, queue), undefined);
  await withChannel(url, (channel) => channel.assertQueue(queue));
  await publishRaw(url, queue, "30");
  assertEquals(await queueInfo(url, queue), { messages: 1, consumers: 0 });
  await deleteQueue(url, queue);
  assertEquals(await queueInfo(url, queue), undefined);
});

live("plainCall() gives the reply", async ({ url, queue }) => {
  await withChannel(url, async (channel) => {
    await channel.assertQueue(queue);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { correlationId, replyTo } = message.properties;
      channel.sendToQueue(replyTo, message.content, { correlationId });
    }, { noAck: true });
    assertEquals((await plainCall(url, queue, "abc")).content.toString(), "abc");
  });
});

live("relay() stalls, goes on and cuts", async ({ url, queue }) => {
  await using link = relay(Number(new URL(url).port || 5672));
  const through = `amqp://guest:guest@127.0.0.1:${link.port}`;
  assertEquals(await queueInfo(through, queue), undefined);
  link.stall();
  let settled = false;
  const stalled = queueInfo(through, queue).finally(() => settled = true);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assertEquals(settled, false);
  link.resume();
  assertEquals(await stalled, undefined);
  link.stall();
  const lost = assertRejects(() => queueInfo(through, queue));
  await waitFor("the third connection is there", () => link.accepted === 3);
  link.cut();
  await lost;
  await link.close();
});

live("Broker keeps its data when it is killed, and leaves nothing behind when disposed of", { run: true }, async () => {
  const broker = await Broker.start();
  await using _broker = broker;
  await withChannel(broker.url, (channel) => channel.assertQueue("durable", { durable: true }));
  await publishRaw(broker.url, "durable", "30", { persistent: true });
  assertEquals(await broker.eval("rabbit:is_running()"), "true");
  const { pid } = broker;
  assert(pid !== undefined && isAlive(pid));
  // A young node can lose a queue that it has confirmed, while Mnesia is busy with its log; without Mnesia this does nothing.
  await broker.eval("mnesia:dump_log()");
  await broker.kill();
  assertEquals(await answers(broker.url), false);
  await broker.startAgain();
  assertEquals(await queueInfo(broker.url, "durable"), { messages: 1, consumers: 0 });
  await broker[Symbol.asyncDispose]();
  assertEquals(await answers(broker.url), false);
  await assertRejects(() => broker.log(), Deno.errors.NotFound);
});

live("Broker dies with a process that is killed", { run: true }, async () => {
  const module = new URL("broker.ts", import.meta.url).href;
  const code = `import { Broker } from "${module}"; const { pid, url } = await Broker.start(); console.log(pid, url);`;
  const child = new Deno.Command(Deno.execPath(), { args: ["eval", code], env: PLAIN, stdout: "piped" }).spawn();
  const { value } = await child.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
  const [, pid, url] = /^(\d+) (\S+)\n/.exec(value ?? "") ?? [];
  assert(url !== undefined && await answers(url));
  child.kill("SIGKILL");
  await child.status;
  await waitFor("the node is gone", async () => !await answers(url));
  await waitFor("its process is gone", () => !isAlive(Number(pid)));
});

live("Without network permission live tests are ignored, with the command that runs them", { run: true }, async () => {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", import.meta.filename ?? ""],
    env: PLAIN,
    stdin: "null",
    stderr: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertStringIncludes(text, "run them with: deno task test");
  assertStringIncludes(text, "ok | 1 passed | 0 failed | 6 ignored");
  assertEquals(code, 0);
});
