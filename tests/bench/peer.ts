import type { Meter } from "./meter.ts";

/** What kind of queue holds the requests. */
export type QueueKind = "classic" | "quorum";

/** What one row of the bench asks of every peer alike. */
export interface Load {
  readonly url: string;
  readonly queue: string;
  readonly queueKind: QueueKind;
  readonly inFlight: number;
  readonly bodyBytes: number;
  /** How many requests a server is given at once. */
  readonly prefetch: number;
  /** How long calls are made, 100 at once, before they count, in ms: it is warm code that is measured. */
  readonly warmUp: number;
  /** For how long calls count, in ms. */
  readonly window: number;
}

/**
 * Makes calls, so many at once, until the meter has had enough, and waits for those on their way; rejects at a wrong
 * reply.
 */
export type Drive = (inFlight: number, meter: Meter) => Promise<void>;

/** One way to do RPC over RabbitMQ: a server that echoes, and a client. The end of the process is the end of both. */
export interface Peer {
  serve(load: Load): Promise<void>;
  connect(load: Load): Promise<Drive>;
}

/** The bodies that calls take in turn: two digits, repeated to the wanted size. */
export function bodies(bytes: number): readonly string[] {
  return Array.from({ length: 90 }, (_, n) => String(n + 10).repeat(Math.ceil(bytes / 2)));
}

/** A reply is not the request that it answers. */
export class WrongReply extends Error {
  override name = "WrongReply";

  constructor(request: string, reply: string) {
    super(`The reply to "${request.slice(0, 20)}" is "${reply.slice(0, 20)}" of ${reply.length} characters`);
  }
}

/** Drives a peer that has one promise for each call. */
export function closedLoop({ bodyBytes }: Load, call: (request: string) => Promise<string>): Drive {
  const requests = bodies(bodyBytes);
  return async (inFlight, meter) => {
    async function caller(first: number): Promise<void> {
      for (let n = first; !meter.over; n += inFlight) {
        const request = requests[n % requests.length] ?? "";
        const startedAt = performance.now();
        const reply = await call(request);
        if (reply !== request) throw new WrongReply(request, reply);
        meter.count(startedAt);
      }
    }
    await Promise.all(Array.from({ length: inFlight }, (_, n) => caller(n)));
  };
}
