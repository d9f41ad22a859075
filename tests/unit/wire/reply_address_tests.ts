import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { DIRECT_REPLY_TO, directProcess, isDirect, isServerNamed } from "../../../lib/wire/reply_address.ts";

/** The base64 of a key of 16 bytes. */
const KEY = Buffer.alloc(16, 7).toString("base64");

/** A pid in Erlang's external term format; the name is that of its node. */
function pid(
  name: string,
  changes: { readonly tag?: 118 | 119; readonly start?: readonly number[]; readonly rest?: number } = {},
): string {
  const { tag = 119, start = [131, 88], rest = 12 } = changes;
  const node = Buffer.from(name);
  const size = tag === 119 ? [node.length] : [node.length >> 8, node.length & 0xff];
  return Buffer.from([...start, tag, ...size, ...node, ...Array(rest).fill(0)]).toString("base64");
}

function address(process: string, key = KEY): string {
  return `${DIRECT_REPLY_TO}.${process}.${key}`;
}

Deno.test("isDirect() knows what is meant for direct reply-to by its beginning", () => {
  assertEquals(["amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.x.y"].map(isDirect), [true, true]);
  const others = ["", "amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to-x", "x.amq.rabbitmq.reply-to.x", "amq.gen-x"];
  assertEquals(others.map(isDirect), Array(others.length).fill(false));
});

const GOOD: readonly (readonly [string, string])[] = [
  ["a short node name", pid("rabbit@host")],
  ["the shortest node name", pid("a@b")],
  ["a node name of 150 bytes", pid(`rabbit@${"h".repeat(143)}`)],
  ["a node name with two bytes of length", pid("rabbit@host", { tag: 118 })],
  ["a node name that is not ASCII", pid("rabbit@größe")],
  ["a node name of 100 bytes with two bytes of length", pid(`rabbit@${"h".repeat(93)}`, { tag: 118 })],
];

for (const [what, process] of GOOD) {
  Deno.test(`directProcess() takes an address with ${what}, which the broker has named`, () => {
    assertEquals([directProcess(address(process)), isServerNamed(address(process))], [process, true]);
  });
}

const good = pid("rabbit@host");

const BAD: readonly (readonly [string, string])[] = [
  ["nothing", `${DIRECT_REPLY_TO}.`],
  ["no key", `${DIRECT_REPLY_TO}.${good}`],
  ["an empty key", address(good, "")],
  ["a key of 15 bytes", address(good, Buffer.alloc(15).toString("base64"))],
  ["a key of 17 bytes", address(good, Buffer.alloc(17).toString("base64"))],
  ["a key that is not base64", address(good, `${"*".repeat(22)}==`)],
  ["something after the key", `${address(good)}x`],
  ["no process", address("")],
  ["a process that is not base64", address("*".repeat(32))],
  ["a process of less than 24 characters", address("AAAA")],
  ["a process that is all zero", address("A".repeat(32))],
  ["a process of more than 256 characters", address(pid(`rabbit@${"h".repeat(186)}`))],
  ["another version of the format", address(pid("rabbit@host", { start: [130, 88] }))],
  ["another kind of term", address(pid("rabbit@host", { start: [131, 103] }))],
  ["another kind of atom", address(Buffer.from(good, "base64").fill(100, 2, 3).toString("base64"))],
  ["a byte too few", address(pid("rabbit@host", { rest: 11 }))],
  ["a byte too many", address(pid("rabbit@host", { rest: 13 }))],
  ["a node name without an at sign", address(pid("rabbithost1"))],
  ["a node name with two at signs", address(pid("rabbit@host@x"))],
  ["a node name that begins with the at sign", address(pid("@rabbithost"))],
  ["a node name that ends with the at sign", address(pid("rabbithost@"))],
  ["another beginning", `amq.gen.${good}.${KEY}`],
];

for (const [what, replyTo] of BAD) {
  Deno.test(`directProcess() takes no address with ${what}`, () => {
    assertEquals([directProcess(replyTo), isServerNamed(replyTo)], [undefined, false]);
  });
}

Deno.test("isServerNamed() knows the queues that the broker has named", () => {
  assertEquals(isServerNamed("amq.gen-JzTY20BRgKO-HjmUJj0wLg"), true);
  const others = ["", "amq.gen", "amq.genx", "x.amq.gen-x", "rpc_queue", "amq.rabbitmq.reply-to"];
  assertEquals(others.map(isServerNamed), Array(others.length).fill(false));
});
