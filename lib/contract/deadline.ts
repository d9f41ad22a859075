/** The largest `expiration` and timeout in ms: beyond it timers, and brokers, wrap around. */
export const MAX_TIMEOUT_MS = 2_147_483_647;

/** Waits until a promise settles, either way; gives whether it did so within `ms`. */
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
