import type { ByteString } from "../wire/byte_string.ts";
import type { ClockAnswer } from "../wire/clock_message.ts";
import { isDirect } from "../wire/reply_address.ts";
import type { RequestMeta } from "../wire/request_message.ts";
import { ClockOffsets, isConfirmed } from "./clock_offsets.ts";
import { ClockQuestions } from "./clock_questions.ts";
import type { DirectReplyPublisher } from "./direct_reply_publisher.ts";
import type { Reply, ReplyPublisher } from "./reply_publisher.ts";

/** What the questions for clocks need from their server. */
export interface ClockHost {
  readonly replies: Pick<ReplyPublisher, "send">;
  readonly directReplies: Pick<DirectReplyPublisher, "send">;
  /** The routing key for the answers; undefined if there is none yet. */
  readonly address: ByteString | undefined;
}

/** From this part of its time on, a wait is worth the question whether it is true. */
const LONG_WAIT = 1 / 4;
/** How often that is asked, in ms. */
const RENEW_MS = 2_000;
/** How long it is tried to send a question, in ms. */
const PATIENCE_MS = 1_000;
const NOTHING = new Uint8Array();

/** What a server knows about the clocks of its callers: how long their requests have waited. */
export class CallerClocks {
  readonly #host: ClockHost;
  readonly #offsets = new ClockOffsets();
  readonly #questions = new ClockQuestions(this.#offsets, (client, token) => this.#send(client, token));

  constructor(host: ClockHost) {
    this.#host = host;
  }

  /**
   * How long a request has waited at least, in ms. By a client's own clock only if the client has confirmed it; by the
   * broker's, which nobody confirms, it is only likely.
   *
   * @param arrivedAt When it was read, on the clock of `performance.now()`.
   * @param arrivedAfter Earlier than `arrivedAt` by the time that this process may have been stalled before.
   */
  waited({ expiration, sentAt, brokerTime, replyTo }: RequestMeta, arrivedAt: number, arrivedAfter: number): number {
    const time = sentAt ?? brokerTime;
    // Without a deadline nothing depends on it.
    if (time === undefined || expiration === undefined) return 0;
    const limit = expiration + arrivedAt - arrivedAfter;
    const clock = this.#offsets.measure(replyTo, time, arrivedAt, limit, sentAt === undefined);
    if (sentAt === undefined) return clock.waited;
    if ((clock.doubted || clock.waited > LONG_WAIT * expiration) && arrivedAt - clock.askedAt >= RENEW_MS) {
      this.ask(replyTo);
    }
    return isConfirmed(clock, arrivedAt) ? clock.waited : 0;
  }

  /** Whether the waits of a caller's requests are known, and not only a lower bound of them. */
  isConfirmed(client: ByteString): boolean {
    return this.#questions.isConfirmed(client, performance.now());
  }

  /** Asks a client that sends its clock for the time. */
  ask(client: ByteString): void {
    this.#questions.ask(client, performance.now());
  }

  /** A client has told its time. */
  answered(answer: ClockAnswer): void {
    this.#questions.answered(answer, performance.now());
  }

  #send(client: ByteString, token: ByteString): boolean {
    const { address, replies, directReplies } = this.#host;
    if (address === undefined) return false;
    const question: Reply = {
      replyTo: client,
      correlationId: token,
      contentType: "text/plain",
      isError: false,
      headers: undefined,
      clockAddress: address,
      body: NOTHING,
      deadline: performance.now() + PATIENCE_MS,
      done: () => {},
    };
    (isDirect(client) ? directReplies : replies).send(question);
    return true;
  }
}
