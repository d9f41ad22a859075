/** The largest `expiration` and timeout, in ms: larger numbers overflow in timers and in brokers. */
export const MAX_TIMEOUT_MS = 2_147_483_647;

/** Waits until a promise resolves or rejects, at most `ms`; returns whether it did. */
export async function settlesWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) =>
    timer = setTimeout(() => resolve(false), Math.min(ms, MAX_TIMEOUT_MS))
  );
  try {
    return await Promise.race([promise.then(() => true, () => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
