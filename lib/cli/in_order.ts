/** Options of {@linkcode inOrder}. */
export interface InOrderOptions<Out> {
  /** How many are run at once. */
  readonly concurrency: number;
  /** How large a result is that waits for earlier ones, in bytes; 0 if absent. */
  readonly sizeOf?: (result: Out) => number;
}

/** How many results wait at most for earlier ones, for each that is run at once. */
const AHEAD = 16;
/** How large they may be in all, in bytes. */
const MAX_AHEAD_BYTES = 16 * 1024 * 1024;

interface Slot<Out> {
  settled: { readonly result: Out } | undefined;
}

/**
 * Runs `run` for each input, several at once, and gives the results in the order of the inputs. Inputs are read no
 * faster than results are taken, so the memory is bounded.
 *
 * @param run Must not reject.
 * @throws What reading the inputs throws, after the results of the inputs before.
 */
export async function* inOrder<In, Out>(
  inputs: AsyncIterable<In> | Iterable<In>,
  run: (input: In) => Promise<Out>,
  { concurrency, sizeOf = () => 0 }: InOrderOptions<Out>,
): AsyncGenerator<Out> {
  const source = (async function* () {
    yield* inputs;
  })();
  const slots: Slot<Out>[] = [];
  let running = 0;
  let ahead = 0;
  let reading = false;
  let end: { readonly error?: unknown } | undefined;
  let notify = (): void => {};

  function start(input: In): void {
    const slot: Slot<Out> = { settled: undefined };
    slots.push(slot);
    running++;
    run(input).then((result) => {
      slot.settled = { result };
      running--;
      ahead += sizeOf(result);
      notify();
    });
  }

  function read(): void {
    reading = true;
    source.next().then(({ done, value }) => {
      reading = false;
      if (done) end = {};
      else start(value);
      notify();
    }, (error: unknown) => {
      reading = false;
      end = { error };
      notify();
    });
  }

  try {
    for (;;) {
      const hasRoom = running < concurrency && slots.length < concurrency * AHEAD && ahead < MAX_AHEAD_BYTES;
      if (end === undefined && !reading && hasRoom) read();
      const { settled } = slots[0] ?? {};
      if (settled !== undefined) {
        slots.shift();
        ahead -= sizeOf(settled.result);
        yield settled.result;
      } else if (end !== undefined && slots.length === 0) {
        if ("error" in end) throw end.error;
        return;
      } else {
        await new Promise<void>((resolve) => notify = resolve);
      }
    }
  } finally {
    // Not awaited: it may wait for input that never comes.
    if (end === undefined) source.return(undefined).catch(() => {});
  }
}

/**
 * Passes inputs on at a steady rate.
 *
 * @param perSecond How many in each second; after a pause of whoever takes them, at most a tenth of a second is caught up.
 */
export async function* paced<In>(
  inputs: AsyncIterable<In> | Iterable<In>,
  perSecond: number,
  signal: AbortSignal,
): AsyncGenerator<In> {
  const interval = 1_000 / perSecond;
  let next = performance.now();
  for await (const input of inputs) {
    const now = performance.now();
    next = Math.max(next, now - 100);
    // Timers are in whole milliseconds: what is due within the next one is passed on at once.
    if (next - now >= 1) await pause(next - now, signal);
    next += interval;
    yield input;
  }
}

/** Passes inputs on until the signal is aborted. */
export async function* until<In>(
  inputs: AsyncIterable<In> | Iterable<In>,
  signal: AbortSignal,
): AsyncGenerator<In> {
  for await (const input of inputs) {
    if (signal.aborted) return;
    yield input;
  }
}

/** Waits, or until the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
