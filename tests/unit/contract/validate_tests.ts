import { assertThrows } from "@std/assert";
import { checkInteger, checkQueueName } from "../../../lib/contract/validate.ts";

Deno.test("checkInteger() takes integers from its lower to its upper bound", () => {
  for (const value of [-3, -2, 0, 6, 7]) checkInteger(value, "size", "test", -3, 7);
  checkInteger(5, "size", "test", 5, 5);
});

for (const value of [-4, 8, 0.5, NaN, Infinity, -Infinity]) {
  Deno.test(`checkInteger() refuses ${value} for -3 to 7 with a RangeError that names value and bounds`, () => {
    const text = `Cannot test: 'size' must be an integer between -3 and 7, got ${value}`;
    assertThrows(() => checkInteger(value, "size", "test", -3, 7), RangeError, text);
  });
}

for (const value of ["5", 5n, null, undefined, {}, true]) {
  Deno.test(`checkInteger() refuses ${Deno.inspect(value)} with a TypeError that names its type`, () => {
    const text = `Cannot test: 'size' must be a number, got ${typeof value}`;
    assertThrows(() => checkInteger(value, "size", "test", -3, 7), TypeError, text);
  });
}

Deno.test("checkQueueName() takes names of 1 to 255 bytes", () => {
  for (const name of ["q", "x".repeat(255), "ü".repeat(127), "amq", "amqx", "my.amq.queue", "AMQ.x"]) {
    checkQueueName(name, "test");
  }
});

for (const [name, size] of [["", 0], ["x".repeat(256), 256], ["ü".repeat(128), 256]] as const) {
  Deno.test(`checkQueueName() refuses a name of ${size} bytes and ${name.length} characters`, () => {
    const text = `Cannot test: 'queue' must have 1 to 255 bytes, current size is ${size}`;
    assertThrows(() => checkQueueName(name, "test"), RangeError, text);
  });
}

for (const name of ["amq.", "amq.gen-x"]) {
  Deno.test(`checkQueueName() refuses "${name}", which RabbitMQ reserves`, () => {
    const text = `Cannot test: 'queue' must not start with "amq.", which RabbitMQ reserves, got "${name}"`;
    assertThrows(() => checkQueueName(name, "test"), RangeError, text);
  });
}

for (const name of [5, null, undefined, ["q"]]) {
  Deno.test(`checkQueueName() refuses ${Deno.inspect(name)}, which is no string`, () => {
    const text = `Cannot test: 'queue' must be a string, got ${typeof name}`;
    assertThrows(() => checkQueueName(name, "test"), TypeError, text);
  });
}
