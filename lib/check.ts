/** Refuses a number that is not an integer within its bounds. */
export function checkInteger(value: unknown, name: string, action: string, min: number, max: number): void {
  if (typeof value !== "number") {
    throw new TypeError(`Cannot ${action}: '${name}' must be a number, got ${typeof value}`);
  }
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`Cannot ${action}: '${name}' must be an integer between ${min} and ${max}, got ${value}`);
  }
}
