import { settlesWithin } from "../contract/deadline.ts";
import type { Link } from "./link.ts";

/**
 * Checks that the broker keeps confirming what is published, and cuts the link if it does not.
 *
 * RabbitMQ 3.10 can stop reading a connection forever when a queue is deleted under load (its channel waits for credit
 * from the deleted queue), while heartbeats continue. So the link is cut after two heartbeat intervals: one without a
 * confirm, and one without an answer to a question.
 */
export class ConfirmWatch {
  readonly #link: Link;
  readonly #patience: number;
  readonly #silence: () => number;
  readonly #timer: ReturnType<typeof setInterval>;
  #asking = false;

  /**
   * @param link What to watch, and to cut.
   * @param patience How long the broker may confirm nothing before it is asked, in ms, above 0.
   * @param silence How long it has confirmed nothing although something is unconfirmed, in ms.
   */
  constructor(link: Link, patience: number, silence: () => number) {
    this.#link = link;
    this.#patience = patience;
    this.#silence = silence;
    this.#timer = setInterval(() => this.#check(), patience / 2);
    this.#timer.unref();
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    // During an alarm it is known that the broker does not read.
    if (this.#asking || this.#link.blocked !== undefined || this.#silence() < this.#patience) return;
    this.#asking = true;
    const asked = this.#link.openChannel("check that the broker answers", false).then((channel) => channel.close());
    // The link's own limit on the opening of channels is no answer of the broker.
    let answered = false;
    const answer = asked.then(() => answered = true, (error) => answered = error.code !== "unavailable");
    await settlesWithin(answer, this.#patience);
    this.#asking = false;
    if (answered || this.#link.blocked !== undefined) return;
    this.#link.cut(`the broker has confirmed nothing for ${Math.round(this.#silence())} ms`);
  }
}
