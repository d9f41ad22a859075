import { assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { identityOf } from "../../../lib/server/request_identity.ts";
import { readRequest, type RequestMeta } from "../../../lib/wire/request_message.ts";
import { delivery } from "../../support/delivery.ts";
import { runs } from "../../support/runs.ts";

interface Parts {
  readonly replyTo: string;
  readonly correlationId?: string | undefined;
  readonly messageId?: string | undefined;
}

function meta(properties: Parts): RequestMeta {
  return readRequest(delivery({ properties }));
}

const body = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("identityOf() is the same for the same request, whatever came between", () => {
  const request = meta({ replyTo: "amq.gen-a", correlationId: "c", messageId: "m" });
  const identity = identityOf(request, body("30"));
  identityOf(meta({ replyTo: "amq.gen-b", correlationId: "c", messageId: "m" }), body(""));
  assertEquals(identityOf(request, body("31")), identity);
});

Deno.test("identityOf() is a safe integer that is another one for every other request", () => {
  // Short texts of two letters: most pairs differ only in where one text ends and the next begins, or in what is absent.
  const text = fc.string({ unit: fc.constantFrom("a", "\xff"), maxLength: 3 });
  const parts = fc.record({
    replyTo: text,
    correlationId: fc.option(text, { nil: undefined }),
    messageId: fc.option(text, { nil: undefined }),
    body: text,
  });
  const keyOf = ({ correlationId, messageId, replyTo }: RequestMeta, body: string): string =>
    JSON.stringify([replyTo, correlationId ?? "", messageId ?? null, messageId === undefined ? body : null]);
  fc.assert(
    fc.property(parts, parts, (one, other) => {
      const [first, second] = [one, other].map((parts) => ({ meta: meta(parts), body: parts.body }));
      if (first === undefined || second === undefined) return;
      const identity = identityOf(first.meta, body(first.body));
      assertEquals(Number.isSafeInteger(identity) && identity >= 0, true);
      assertEquals(
        identity === identityOf(second.meta, body(second.body)),
        keyOf(first.meta, first.body) === keyOf(second.meta, second.body),
      );
    }),
    runs(20_000),
  );
});

Deno.test("identityOf() never gives two of 300,000 ids the same number", () => {
  const seen = new Set<number>();
  const request = meta({ replyTo: "amq.gen-a" });
  const nothing = body("");
  for (let n = 0; n < 300_000; n++) {
    seen.add(identityOf({ ...request, correlationId: `${n}`, messageId: `${n}` }, nothing));
  }
  assertEquals(seen.size, 300_000);
});

Deno.test("identityOf() tells bodies apart by their size and their ends, if there is no message id", () => {
  const request = meta({ replyTo: "amq.gen-a", correlationId: "c" });
  const long = new Uint8Array(200);
  const identity = identityOf(request, long);
  for (const at of [0, 63, 136, 199]) assertNotEquals(identityOf(request, long.with(at, 1)), identity, `${at}`);
  for (const at of [64, 135]) assertEquals(identityOf(request, long.with(at, 1)), identity, `${at}`);
  assertNotEquals(identityOf(request, long.subarray(1)), identity);
});
