import { RpcError } from "../contract/errors.ts";
import type { ServerEvent } from "../events/server_event.ts";
import type { ByteString } from "../wire/byte_string.ts";
import { Admission, type Refusal } from "./admission.ts";
import type { Place } from "./blind_shedding.ts";
import type { RunningRequest } from "./running_request.ts";
import { ServiceTime } from "./service_time.ts";

/** What a guard needs from its server. */
export interface GuardHost {
  /** Asks a client that sends its clock for the time. */
  askClock(client: ByteString): void;
  emit(event: ServerEvent): void;
}

/** How long clients whose waits are not known are asked for their clocks, after a sign of overload, in ms. */
const ASK_MS = 2_000;
/** How often the refusals of a queue are reported, in ms. */
const REPORT_MS = 10_000;

/** Refuses requests of one queue that have too little time left, and learns how long requests take and have waited. */
export class OverloadGuard {
  readonly #queue: string;
  readonly #host: GuardHost;
  readonly #services: ReadonlyMap<string | undefined, ServiceTime>;
  readonly #admission: Admission;
  #askUntil = -Infinity;
  #refused = 0;
  #reportedAt = -Infinity;

  constructor(queue: string, methods: Iterable<string | undefined>, host: GuardHost) {
    this.#queue = queue;
    this.#host = host;
    this.#services = new Map(Array.from(methods, (method) => [method, new ServiceTime()]));
    this.#admission = new Admission(Array.from(this.#services.values()));
  }

  /** Whether there was a sign of overload a moment ago. */
  isPressed(now: number): boolean {
    return this.#admission.isPressed(now);
  }

  /** About the longest that any handler takes now, in ms. */
  get longest(): number {
    return this.#admission.longest;
  }

  /** Why a request must be refused; undefined if it may be started, now or after it has waited for a handler. */
  judge(running: RunningRequest, now: number, place: Place): Refusal | undefined {
    const service = this.#services.get(running.method);
    if (service === undefined || running.expiration === undefined) return undefined;
    const { sentAt, replyTo } = running.meta;
    if (now < this.#askUntil && sentAt !== undefined && !running.known) this.#host.askClock(replyTo);
    const why = this.#admission.judge(running, service, now, place);
    if (why !== undefined) this.#askUntil = now + ASK_MS;
    return why;
  }

  /** Learns from a request whose handler has ended. */
  handled(running: RunningRequest, now: number): void {
    const service = this.#services.get(running.method);
    const { whyAborted, executed, likelyEndsAt, meta: { sentAt, replyTo } } = running;
    // When the server shuts down, nothing is learned.
    if (service === undefined || !executed || whyAborted === "unavailable") return;
    const inTime = whyAborted === undefined && now < likelyEndsAt;
    if (!this.#admission.ended(running, service, now, inTime)) return;
    this.#askUntil = now + ASK_MS;
    if (sentAt !== undefined) this.#host.askClock(replyTo);
  }

  /** The error for a request that is refused. */
  refusal({ expiration }: RunningRequest, { left, needed }: Refusal, now: number): RpcError {
    const why = left === undefined
      ? "its requests wait until almost nothing is left of their time"
      : `of its ${expiration} ms, the request has ${Math.max(0, Math.floor(left))} ms left, ` +
        `and such work now takes up to ${Math.ceil(needed)} ms`;
    const text = `The servers of "${this.#queue}" are overloaded: ${why}; send fewer requests, or start more servers`;
    this.#refused++;
    if (now - this.#reportedAt >= REPORT_MS) {
      this.#host.emit({ type: "overloaded", queue: this.#queue, refused: this.#refused, reason: why });
      this.#reportedAt = now;
      this.#refused = 0;
    }
    return new RpcError("resource_exhausted", text, { outcome: "not_executed" });
  }
}
