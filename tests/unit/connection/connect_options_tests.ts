import { assertEquals, assertThrows } from "@std/assert";
import {
  checkConnectOptions,
  CONNECT_TIMEOUT_MS,
  type ConnectOptions,
} from "../../../lib/connection/connect_options.ts";

const MAX = 2_147_483_647;

/** Checks options that the type checker would refuse. */
function check(options: Readonly<Record<string, unknown>>): void {
  checkConnectOptions(options as ConnectOptions);
}

/** An option, its bounds, and options in which it has a value. */
const NUMBERS: readonly (readonly [string, number, number, (value: unknown) => Readonly<Record<string, unknown>>])[] = [
  ["connectTimeout", 1, MAX, (connectTimeout) => ({ connectTimeout })],
  ["waitForBroker", 0, MAX, (waitForBroker) => ({ waitForBroker })],
  ["heartbeat", 0, 65_535, (heartbeat) => ({ heartbeat })],
  ["drainTimeout", 0, MAX, (drainTimeout) => ({ drainTimeout })],
  ["backoff.min", 1, MAX, (min) => ({ backoff: { min, max: MAX } })],
  ["backoff.max", 5, MAX, (max) => ({ backoff: { min: 5, max } })],
];

for (const [name, min, max, options] of NUMBERS) {
  Deno.test(`'${name}' may be from ${min} to ${max}, and nothing else`, () => {
    for (const value of [min, min + 1, max - 1, max]) check(options(value));
    for (const value of [min - 1, max + 1, min + 0.5, NaN, Infinity]) {
      const text = `Cannot connect: '${name}' must be an integer between ${min} and ${max}, got ${value}`;
      assertThrows(() => check(options(value)), RangeError, text);
    }
    for (const value of ["1000", null, {}, true]) {
      assertThrows(() => check(options(value)), TypeError, `Cannot connect: '${name}' must be a number`);
    }
  });
}

Deno.test("One attempt takes ten seconds at the most, where no option says so", () => {
  assertEquals(CONNECT_TIMEOUT_MS, 10_000);
});

Deno.test("No option is needed, and one that is undefined is as if it were absent", () => {
  check({});
  const names = ["connectTimeout", "waitForBroker", "heartbeat", "backoff", "drainTimeout", "name", "signal", "tls"];
  check(Object.fromEntries(names.map((name) => [name, undefined])));
});

const TAKEN: readonly Readonly<Record<string, unknown>>[] = [
  { name: "" },
  { name: "x".repeat(255) },
  { name: "ü".repeat(127) },
  { signal: new AbortController().signal },
  { tls: {} },
  { tls: { ca: "pem" } },
];

for (const options of TAKEN) {
  Deno.test(`checkConnectOptions() takes ${Deno.inspect(options, { strAbbreviateSize: 20 })}`, () => check(options));
}

const REFUSED: readonly (readonly [Readonly<Record<string, unknown>>, typeof TypeError | typeof RangeError, string])[] =
  [
    [{ name: 5 }, TypeError, "'name' must be a string, got number"],
    [{ name: {} }, TypeError, "'name' must be a string, got object"],
    [{ name: "x".repeat(256) }, RangeError, "'name' must have at most 255 bytes"],
    [{ name: "ü".repeat(128) }, RangeError, "'name' must have at most 255 bytes"],
    [{ signal: {} }, TypeError, "'signal' must be an AbortSignal"],
    [{ signal: new AbortController() }, TypeError, "'signal' must be an AbortSignal"],
    [{ signal: null }, TypeError, "'signal' must be an AbortSignal"],
    [{ tls: "ca.pem" }, TypeError, "'tls' must be an object"],
    [{ tls: 5 }, TypeError, "'tls' must be an object"],
    [{ tls: null }, TypeError, "'tls' must be an object"],
    [{ backoff: 5 }, TypeError, "'backoff.min' must be a number"],
    [{ backoff: {} }, TypeError, "'backoff.min' must be a number"],
    [{ backoff: { min: 5 } }, TypeError, "'backoff.max' must be a number"],
    [{ backoff: { min: 5, max: 4 } }, RangeError, "'backoff.max' must be an integer between 5 and"],
  ];

for (const [options, kind, text] of REFUSED) {
  Deno.test(`checkConnectOptions() refuses ${Deno.inspect(options, { strAbbreviateSize: 20 })}`, () => {
    assertThrows(() => check(options), kind, `Cannot connect: ${text}`);
  });
}
