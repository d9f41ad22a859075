/** How often it is looked, in each heartbeat interval. */
const LOOKS = 4;
/** So many looks without anything new: between 1.75 and 2 intervals. */
const MAX_SILENT_LOOKS = 7;

/**
 * Finds out that a broker is silent, within two heartbeat intervals: RabbitMQ sends something in each. amqplib takes up to
 * three. Looks are counted, not time: a process that was stalled has not listened.
 */
export class SilenceWatch {
  readonly #timer: ReturnType<typeof setInterval>;
  #received = -1;
  #silentLooks = 0;

  /**
   * @param heartbeat The heartbeat interval, in ms, above 0.
   * @param received A count that changes whenever something comes.
   * @param silent Called once, if nothing came for too long.
   */
  constructor(heartbeat: number, received: () => number, silent: () => void) {
    this.#timer = setInterval(() => this.#look(received(), silent), heartbeat / LOOKS);
    this.#timer.unref();
  }

  /** Stops watching. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #look(received: number, silent: () => void): void {
    this.#silentLooks = received === this.#received ? this.#silentLooks + 1 : 0;
    this.#received = received;
    if (this.#silentLooks < MAX_SILENT_LOOKS) return;
    this.stop();
    silent();
  }
}
