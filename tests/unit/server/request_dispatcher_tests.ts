import { assertEquals } from "@std/assert";
import { text } from "../../../lib/contract/plain_codecs.ts";
import { procedure } from "../../../lib/contract/procedure.ts";
import { AckBatcher } from "../../../lib/server/ack_batcher.ts";
import type { ConsumerHost } from "../../../lib/server/consumer_host.ts";
import { RequestDispatcher } from "../../../lib/server/request_dispatcher.ts";
import { servedProcedure } from "../../../lib/server/served.ts";
import type { Delivery } from "../../../lib/wire/message.ts";
import { delivery } from "../../support/delivery.ts";
import { entry, uint } from "../../support/wire.ts";

/** A dispatcher of an at-most-once procedure, on channels that the test closes. */
class Site {
  readonly replies: string[] = [];
  runs = 0;
  /** What is known of the callers. */
  left = Promise.resolve(false);
  suspected = false;
  hangs = false;
  readonly #requests: RequestDispatcher;
  #channel = { closed: false, ack: (): void => {}, nack: (): void => {} };
  #acks = new AckBatcher(this.#channel);

  constructor() {
    const send = ({ body }: { readonly body: Uint8Array }): void =>
      void this.replies.push(new TextDecoder().decode(body));
    const suspected = (): boolean => this.suspected;
    const host = {
      queue: "q",
      propagate: [],
      interceptors: [],
      listens: false,
      connection: {},
      replies: { send, isFull: () => false },
      directReplies: { send, isFull: () => false },
      acceptsReplyTo: () => true,
      absent: {
        get suspected() {
          return suspected();
        },
        hasLeft: () => this.left,
      },
      isCanceled: () => false,
      stalls: { seen: () => {}, arrivedAfter: (at: number) => at },
      waited: () => 0,
      emit: () => {},
    };
    const once = procedure({ queue: "q", request: text(), reply: text(), idempotent: false });
    const served = servedProcedure(once, () => {
      this.runs++;
      return this.hangs ? new Promise(() => {}) : `run ${this.runs}`;
    });
    this.#requests = new RequestDispatcher(served, host as unknown as ConsumerHost, false);
  }

  async deliver(parts: Partial<Delivery>): Promise<void> {
    const message = delivery({ ...parts, properties: { replyTo: "r", messageId: "m", ...parts.properties } });
    const intake = this.#requests.openIntake(1, {
      consumeArguments: () => undefined,
      openChannel: () => Promise.reject(new Error("There is no second channel")),
      retired: () => {},
      ended: () => {},
    });
    this.#requests.deliver(message, this.#acks, intake);
    await new Promise((resolve) => setTimeout(resolve));
  }

  /** How many handlers are in use. */
  get handlers(): number {
    return Array.from(this.#requests.running).filter(({ holdsHandler }) => holdsHandler).length;
  }

  lose(): void {
    this.#channel.closed = true;
  }

  reconnect(): void {
    this.lose();
    this.#channel = { ...this.#channel, closed: false };
    this.#acks = new AckBatcher(this.#channel);
    this.#requests.expectAgain(1);
  }
}

/** The site, after it has lost the channel of a request before it started it. */
async function unstarted(): Promise<Site> {
  const site = new Site();
  const asked = Promise.withResolvers<boolean>();
  site.suspected = true;
  site.left = asked.promise;
  await site.deliver({});
  site.reconnect();
  asked.resolve(false);
  site.suspected = false;
  await new Promise((resolve) => setTimeout(resolve));
  return site;
}

Deno.test("RequestDispatcher does not start a request whose channel is lost while it asks for the caller", async () => {
  const site = await unstarted();
  assertEquals([site.runs, site.replies], [0, []]);
});

for (const [count, runs] of [[undefined, 0], [1, 1], [2, 0]] as const) {
  Deno.test(`RequestDispatcher runs an at-most-once request that it lost unstarted ${runs} times if its delivery count is ${count}`, async () => {
    const site = await unstarted();
    const headers = count === undefined ? undefined : entry("x-delivery-count", "l", uint(8, count));
    await site.deliver({ redelivered: true, properties: { headers } });
    assertEquals(site.runs, runs);
    assertEquals([site.replies.length, site.replies[0]?.includes("aborted")], [1, runs === 0]);
  });
}

Deno.test("RequestDispatcher does not count a handler as busy whose request was lost, because it may hang", async () => {
  const site = new Site();
  site.hangs = true;
  await site.deliver({});
  assertEquals(site.handlers, 1);
  site.reconnect();
  assertEquals([site.handlers, site.runs], [0, 1]);
});

for (const [count, before, runs] of [[undefined, false, 0], [1, false, 1], [2, false, 0], [1, true, 0]] as const) {
  const name =
    `RequestDispatcher starts nothing on a lost channel, and later runs it ${runs} times if its delivery count is `;
  Deno.test(`${name}${count} and it was ${before ? "" : "not "}redelivered before`, async () => {
    const site = new Site();
    site.lose();
    await site.deliver({ redelivered: before });
    assertEquals([site.runs, site.replies], [0, []]);
    site.reconnect();
    const headers = count === undefined ? undefined : entry("x-delivery-count", "l", uint(8, count));
    await site.deliver({ redelivered: true, properties: { headers } });
    assertEquals([site.runs, site.replies.length, site.replies[0]?.includes("aborted")], [runs, 1, runs === 0]);
  });
}
