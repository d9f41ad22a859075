import type { ServerFigures } from "../contract/server_info.ts";
import { type ByteString, fromByteString } from "../wire/byte_string.ts";
import type { InfoQuestion } from "../wire/control_message.ts";
import type { Publish } from "../wire/message.ts";
import { isDirect } from "../wire/reply_address.ts";
import { replyMessage, type ReplyParts } from "../wire/reply_message.ts";
import { encodeServerInfo } from "../wire/server_info.ts";

/** How many questions are answered at once, and how many in each second after that; further ones are dropped. */
const BURST = 50;
const PER_SECOND = 25;

/** What a responder needs from its server. */
export interface InfoHost {
  /** Whether the broker has stopped reading. */
  readonly blocked: boolean;
  /** Whether answers may go to this address: the same as for replies. */
  acceptsReplyTo(name: ByteString): boolean | Promise<boolean | undefined>;
  /** The figures of a queue; undefined if it is not served. */
  figures(queue: string): ServerFigures | undefined;
  /** Sends an answer to a direct address. */
  sendDirect(answer: ReplyParts): void;
}

/**
 * Answers questions for the server's figures. A flood of them costs little: what is over the limit is dropped before
 * anything is done for it. An answer is sent once, and lost with the channel.
 */
export class InfoResponder {
  readonly #host: InfoHost;
  #allowed = BURST;
  #countedAt = performance.now();

  constructor(host: InfoHost) {
    this.#host = host;
  }

  /** Answers a question; `publish` sends the answer. */
  answer(question: InfoQuestion, publish: (message: Publish) => void): void {
    const { replyTo } = question;
    if (replyTo === "" || this.#host.blocked || !this.#mayAnswer()) return;
    const accepted = this.#host.acceptsReplyTo(replyTo);
    if (accepted === true) this.#send(question, publish);
    else if (accepted !== false) accepted.then((answer) => answer === true && this.#send(question, publish));
  }

  #mayAnswer(): boolean {
    const now = performance.now();
    this.#allowed = Math.min(BURST, this.#allowed + (now - this.#countedAt) * PER_SECOND / 1_000);
    this.#countedAt = now;
    if (this.#allowed < 1) return false;
    this.#allowed--;
    return true;
  }

  #send({ queue, replyTo, correlationId }: InfoQuestion, publish: (message: Publish) => void): void {
    const figures = this.#host.figures(fromByteString(queue));
    if (figures === undefined) return;
    const answer: ReplyParts = {
      replyTo,
      correlationId,
      contentType: "application/json",
      isError: false,
      headers: undefined,
      body: encodeServerInfo(figures),
    };
    if (isDirect(replyTo)) {
      this.#host.sendDirect(answer);
      return;
    }
    try {
      publish({ ...replyMessage(answer), mandatory: false });
    } catch {
      // The channel has just closed: the question may be asked again.
    }
  }
}
