import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import type { Channel } from "./channel.ts";
import { toRpcError } from "./broker_error.ts";
import type { ConnectionEvent } from "../events/connection_event.ts";
import { CLOSE_TIMEOUT_MS, type Link } from "./link.ts";
import type { PublisherConfirms } from "./publisher_confirms.ts";

/** How a channel is set up each time it is opened. */
export interface ChannelPlan {
  /** What the channel is for, as in "Cannot serve ...". */
  readonly action: string;
  /** What is published on it and not confirmed yet; the connection checks that the broker keeps confirming. */
  readonly confirms?: Pick<PublisherConfirms<never>, "reset" | "silence">;
  /** Prepares each new channel before it is used; sets its listener. */
  setup(channel: Channel): Promise<void>;
  /** The channel may be used. */
  opened?(): void;
  /** The channel is lost, and with it what was not confirmed; a new one will be opened. */
  lost?(error: RpcError): void;
}

/** What a kept channel needs from its connection. */
export interface ChannelOwner {
  /** The current link; absent while there is none. */
  readonly link: Link | undefined;
  emit(event: ConnectionEvent): void;
  /** Waits before the next attempt. */
  pause(attempt: number, error: RpcError): Promise<void>;
  /** Removes the channel, which is then not opened again. */
  release(channel: KeptChannel): void;
}

/** A channel that is opened again after every loss, until it is closed. */
export class KeptChannel {
  readonly plan: ChannelPlan;
  readonly #owner: ChannelOwner;
  #current: Channel | undefined;
  /** Channels that were replaced and are still open. */
  readonly #former = new Set<Channel>();
  #opening: Promise<void> | undefined;
  #error: RpcError | undefined;
  #released = false;

  constructor(plan: ChannelPlan, owner: ChannelOwner) {
    this.plan = plan;
    this.#owner = owner;
  }

  /** The channel, while there is one. */
  get current(): Channel | undefined {
    return this.#current;
  }

  /**
   * Opens it on a link; if it is already being opened, waits for that.
   *
   * @throws {RpcError} If the broker refuses what `setup` asks for, or the link is lost.
   */
  open(link: Link): Promise<void> {
    return this.#opening ??= this.#open(link).finally(() => this.#opening = undefined);
  }

  /** Tries to open it until it is open, or until the link is lost. */
  async reopen(link: Link): Promise<void> {
    const wanted = (): boolean => this.#owner.link === link && !this.#released && this.#current === undefined;
    for (let attempt = 0; wanted(); attempt++) {
      try {
        await this.open(link);
      } catch (error) {
        if (wanted()) await this.#owner.pause(attempt, toRpcError(error, this.plan.action));
      }
    }
  }

  /** Opens another channel in place of the current one, which stays open until its user closes it. */
  replace(): void {
    const { link } = this.#owner;
    const channel = this.#current;
    if (channel === undefined || link === undefined) return;
    this.#current = undefined;
    this.#former.add(channel);
    channel.onClosed(() => this.#former.delete(channel));
    this.reopen(link);
  }

  /** Remembers why its link was lost. */
  fail(error: RpcError): void {
    this.#error ??= error;
  }

  /** Closes the channel, and does not open it again. */
  async close(): Promise<void> {
    this.#released = true;
    this.#owner.release(this);
    const channels = this.#current === undefined ? [...this.#former] : [this.#current, ...this.#former];
    this.#current = undefined;
    // A broker that does not read does not answer either.
    if (channels.length === 0 || this.#owner.link?.blocked !== undefined) return;
    await settlesWithin(Promise.all(channels.map((channel) => channel.close())), CLOSE_TIMEOUT_MS);
  }

  async #open(link: Link): Promise<void> {
    const { plan } = this;
    const channel = await link.openChannel(plan.action, true);
    let refusal: Error | undefined;
    channel.onClosed((cause) => {
      refusal = cause;
      if (this.#current === channel) this.#lose(link, cause);
    });
    try {
      plan.confirms?.reset();
      await plan.setup(channel);
      if (channel.closed) throw new Error("the channel was closed");
      if (this.#released) throw new Error("the channel is not needed any more");
      this.#error = undefined;
      this.#current = channel;
    } catch (error) {
      channel.close().catch(() => {});
      throw toRpcError(refusal ?? error, plan.action);
    }
    plan.opened?.();
  }

  #lose(link: Link, refusal: Error | undefined): void {
    const { plan } = this;
    this.#current = undefined;
    this.#error = refusal === undefined ? undefined : toRpcError(refusal, plan.action);
    if (this.#error !== undefined) {
      this.#owner.emit({ type: "channel_lost", host: link.host.label, error: this.#error });
    }
    // amqplib closes the channels of a lost connection before it emits the loss.
    queueMicrotask(() => {
      plan.lost?.(this.#error ?? new RpcError("unavailable", `Cannot ${plan.action}: the channel was closed`));
      if (this.#owner.link === link) this.reopen(link);
    });
  }
}
