/** Refuses a number that is not an integer within its bounds. */
export function checkInteger(value: unknown, name: string, action: string, min: number, max: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot ${action}: '${name}' must be a number, got ${typeof value}`);
  }
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot ${action}: '${name}' must be an integer between ${min} and ${max}, got ${value}`);
  }
}

/** Refuses a queue name for which the broker would close the channel. */
export function checkQueueName(queue: unknown, action: string): asserts queue is string {
  if (typeof queue !== "string") throw new TypeError(`Cannot ${action}: 'queue' must be a string, got ${typeof queue}`);
  const size = new TextEncoder().encode(queue).byteLength;
  if (size < 1 || size > 255) {
    throw new RangeError(`Cannot ${action}: 'queue' must have 1 to 255 bytes, current size is ${size}`);
  }
  if (queue.startsWith("amq.")) {
    throw new RangeError(
      `Cannot ${action}: 'queue' must not start with "amq.", which RabbitMQ reserves, got "${queue}"`,
    );
  }
}
