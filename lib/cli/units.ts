const UNITS: readonly (readonly [ms: number, unit: string, next: number, nextUnit: string])[] = [
  [86_400_000, "d", 3_600_000, "h"],
  [3_600_000, "h", 60_000, "min"],
  [60_000, "min", 1_000, "s"],
];

/** A duration for people, in three digits: `850 us`, `1.25 ms`, `12.5 s`, `3 min 20 s`, `2 d 4 h`. */
export function formatDuration(ms: number): string {
  if (ms < 0.9995) return `${Math.round(ms * 1_000)} us`;
  if (ms < 999.5) return `${threeDigits(ms)} ms`;
  if (ms < 59_950) return `${threeDigits(ms / 1_000)} s`;
  for (const [size, unit, next, nextUnit] of UNITS) {
    const parts = Math.round(ms / next);
    const whole = Math.floor(parts * next / size);
    const rest = parts - whole * size / next;
    if (whole > 0) return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${nextUnit}`;
  }
  return `${Math.round(ms / 1_000)} s`;
}

/** A count for people: `1,234,567`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** A rate for people: `0.25/s`, `12.5 calls/s`, `2,310/s`. */
export function formatRate(perSecond: number, noun = ""): string {
  const number = perSecond < 99.95 ? threeDigits(perSecond) : formatCount(perSecond);
  return `${number}${noun === "" ? "" : ` ${noun}`}/s`;
}

/** `1 server`, `2 servers`. */
export function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

function threeDigits(value: number): string {
  if (value === 0) return "0";
  return String(Number(value.toPrecision(3)));
}
