import type { ByteString } from "../wire/byte_string.ts";
import type { ClockAnswer } from "../wire/clock_message.ts";
import { type ClockOffsets, isConfirmed } from "./clock_offsets.ts";

/** How long a client is not asked again, in ms. */
const PATIENCE_MS = 1_000;
/** At most this many questions are sent in a second. */
const MAX_PER_SECOND = 100;
/** At most this many questions wait for their answers. */
const MAX_OPEN = 1_000;

interface Question {
  readonly client: ByteString;
  readonly askedAt: number;
}

/**
 * Asks clients for the time on their clocks. The answers come over the control exchange, so they wait behind no
 * requests, and tell how far the clocks are apart, to the round trip. Clients are asked under overload only.
 */
export class ClockQuestions {
  readonly #clocks: ClockOffsets;
  readonly #send: (client: ByteString, token: ByteString) => boolean;
  /** Those without an answer, oldest first, by their tokens, which only the clients that were asked know. */
  readonly #open = new Map<ByteString, Question>();
  readonly #prefix = crypto.randomUUID();
  #last = 0;
  #second = -Infinity;
  #asked = 0;

  /** @param send Sends the question to the client's reply queue, and returns whether it could. */
  constructor(clocks: ClockOffsets, send: (client: ByteString, token: ByteString) => boolean) {
    this.#clocks = clocks;
    this.#send = send;
  }

  /** Whether a client's clock is known from an answer that is not too old. */
  isConfirmed(client: ByteString, now: number): boolean {
    const clock = this.#clocks.get(client);
    return clock !== undefined && isConfirmed(clock, now);
  }

  /** Asks a client that has sent a request with its clock, unless it was asked a moment ago. */
  ask(client: ByteString, now: number): void {
    const clock = this.#clocks.get(client);
    if (clock === undefined || now - clock.askedAt < PATIENCE_MS) return;
    if (now - this.#second >= 1_000) {
      this.#second = now;
      this.#asked = 0;
    }
    if (this.#asked >= MAX_PER_SECOND) return;
    const token = `${this.#prefix}.${++this.#last}`;
    if (!this.#send(client, token)) return;
    this.#asked++;
    clock.askedAt = now;
    this.#open.set(token, { client, askedAt: now });
    const [oldest] = this.#open.keys();
    if (oldest !== undefined && this.#open.size > MAX_OPEN) this.#open.delete(oldest);
  }

  /** Learns from an answer; ignores it if nobody asked. */
  answered({ token, time }: ClockAnswer, now: number): void {
    const question = this.#open.get(token);
    if (question === undefined) return;
    this.#open.delete(token);
    this.#clocks.confirm(question.client, time, question.askedAt, now);
  }
}
