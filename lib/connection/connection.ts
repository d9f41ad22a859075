import { MAX_TIMEOUT_MS, settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { AmqpLink } from "./amqp_link.ts";
import { type Backoff, backoffDelay } from "./backoff.ts";
import { toRpcError } from "./broker_error.ts";
import { type Host, parseHosts } from "./broker_url.ts";
import type { Channel } from "./channel.ts";
import { ConfirmWatch } from "./confirm_watch.ts";
import { checkConnectOptions, CONNECT_TIMEOUT_MS } from "./connect_options.ts";
import type { ConnectionEvent } from "../events/connection_event.ts";
import { type ConnectionStatus, StateClock } from "./connection_status.ts";
import { HostRotation } from "./host_rotation.ts";
import { type ChannelOwner, type ChannelPlan, KeptChannel } from "./kept_channel.ts";
import { type Link, type LinkListener, type LinkOptions, OPEN_LINK } from "./link.ts";

/**
 * One connection to one of several hosts, and the channels on it; both are opened again when they are lost, until it is
 * closed.
 */
export class Connection implements ChannelOwner {
  readonly #hosts: HostRotation;
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #listener: (event: ConnectionEvent) => void;
  readonly #kept = new Set<KeptChannel>();
  readonly #ended = new AbortController();
  readonly #clock = new StateClock();
  #link: Link | undefined;
  #watch: ConfirmWatch | undefined;
  #attempts = 0;
  #connectedAt = 0;
  /** When the last connection was lost, on the clock of `performance.now()`. */
  #lostAt: number | undefined;
  /** Since when the broker has not read what is published. */
  #blockedAt: number | undefined;
  #lastError: RpcError | undefined;
  #reconnecting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(hosts: readonly Host[], options: LinkOptions, listener: (event: ConnectionEvent) => void) {
    this.#hosts = new HostRotation(hosts);
    this.#options = options;
    this.#backoff = options.backoff ?? { min: 100, max: 3_000 };
    this.#listener = listener;
  }

  /** Connects to the first host that answers. */
  static open(
    urls: string | readonly string[] | undefined,
    options: LinkOptions,
    listener: (event: ConnectionEvent) => void,
  ): Promise<Connection> {
    return Connection.openWith(urls, options, listener, (connection) => Promise.resolve(connection));
  }

  /**
   * Connects to the first host that answers, and opens with `prepare` what is needed on the connection: if that fails, or
   * the signal in the options is aborted meanwhile, the connection is closed.
   */
  static async openWith<T>(
    urls: string | readonly string[] | undefined,
    options: LinkOptions,
    listener: (event: ConnectionEvent) => void,
    prepare: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    checkConnectOptions(options);
    const connection = new Connection(parseHosts(urls, options.heartbeat), options, listener);
    const giveUpAt = performance.now() + (options.waitForBroker ?? 0);
    const { signal } = options;
    const abort = (): void => {
      connection.#ended.abort();
      // The broker may answer nothing, not even that it is to close the connection.
      connection.abandon("the signal was aborted");
    };
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted();
      await connection.#openBefore(giveUpAt);
      const prepared = await prepare(connection);
      signal?.throwIfAborted();
      return prepared;
    } catch (error) {
      await connection.close();
      if (!signal?.aborted) throw error;
      const text = "Cannot connect: the signal in the options was aborted";
      throw new RpcError("canceled", text, { outcome: "not_executed", cause: signal.reason });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #openBefore(giveUpAt: number): Promise<void> {
    for (let attempt = 0;; attempt++) {
      try {
        await this.#connect();
        return;
      } catch (error) {
        const left = giveUpAt - performance.now();
        const final = !(error instanceof RpcError) || error.code !== "unavailable" || this.#ended.signal.aborted;
        if (final || left <= 0) throw error;
        await this.pause(attempt, error, left);
      }
    }
  }

  /** Why the broker has stopped reading what is published; absent if it has not. */
  get blocked(): string | undefined {
    return this.#link?.blocked;
  }

  /** The `host:port` of the broker; absent while there is no connection. */
  get broker(): string | undefined {
    return this.#link?.host.label;
  }

  /** How it is now, and since when. */
  get status(): ConnectionStatus {
    const link = this.#link;
    if (link === undefined) {
      const reason = this.#lastError?.message ?? "the connection is closed";
      return Object.freeze({ state: "connecting", since: this.#clock.since("connecting"), reason });
    }
    const { host: { label: host }, blocked: reason } = link;
    if (reason === undefined) return Object.freeze({ state: "connected", since: this.#clock.since("connected"), host });
    return Object.freeze({ state: "blocked", since: this.#clock.since("blocked"), host, reason });
  }

  /** The current link; absent while there is none. */
  get link(): Link | undefined {
    return this.#link;
  }

  /**
   * Opens a channel and keeps it open: whenever the channel is lost, a new one
   * is opened. If there is no connection now, waits for one, at most `patience` ms.
   *
   * @throws {RpcError} If the channel cannot be opened, if the broker refuses
   *   what `plan.setup` asks for, if there is no connection within `patience`
   *   ms, or if this connection is closed.
   */
  async keep(plan: ChannelPlan, patience: number = MAX_TIMEOUT_MS): Promise<KeptChannel> {
    const giveUpAt = performance.now() + patience;
    const kept = new KeptChannel(plan, this);
    this.#kept.add(kept);
    try {
      while (kept.current === undefined) {
        this.#assertOpen();
        const link = this.#link;
        const left = giveUpAt - performance.now();
        if (left <= 0) throw this.#lastError ?? new RpcError("unavailable", `Cannot ${plan.action}: no connection`);
        if (link === undefined) {
          await settlesWithin(this.#reconnecting ?? Promise.resolve(), left);
          continue;
        }
        try {
          await kept.open(link);
        } catch (error) {
          if (this.#link === link) throw error;
        }
      }
    } catch (error) {
      this.#kept.delete(kept);
      throw error;
    }
    return kept;
  }

  /**
   * Opens a channel for one use, for a request that the broker may refuse by closing the channel.
   *
   * @throws {RpcError} If there is no connection, or the broker closes the channel, with its reason.
   */
  async borrow<T>(action: string, use: (channel: Channel) => Promise<T>): Promise<T> {
    let refusal: Error | undefined;
    const channel = await this.channel(action);
    channel.onClosed((cause) => refusal = cause);
    try {
      return await use(channel);
    } catch (error) {
      throw toRpcError(refusal ?? error, action);
    } finally {
      channel.close().catch(() => {});
    }
  }

  /**
   * Opens a connection to the same host for one use, for a request that the broker may refuse by closing the connection.
   *
   * @throws {RpcError} If there is no connection, or the broker closes the new one or its channel, with its reason.
   */
  async borrowLink<T>(action: string, use: (channel: Channel) => Promise<T>): Promise<T> {
    const { host } = this.#linkFor(action);
    let refusal: Error | undefined;
    const lost = (cause: Error | undefined): void => void (refusal ??= cause);
    try {
      const link = await this.#handshake(host, { blocked: () => {}, lost });
      try {
        const channel = await link.openChannel(action, false);
        channel.onClosed(lost);
        return await use(channel);
      } finally {
        await link.close();
      }
    } catch (error) {
      throw toRpcError(refusal ?? error, action);
    }
  }

  /**
   * Opens a channel that is not opened again when it is lost.
   *
   * @param confirm Whether the broker confirms what is published on it.
   * @throws {RpcError} If there is no connection, or the broker opens no channel in time.
   */
  async channel(action: string, confirm = false): Promise<Channel> {
    return await this.#linkFor(action).openChannel(action, confirm);
  }

  #linkFor(action: string): Link {
    if (this.#link !== undefined) return this.#link;
    throw new RpcError("unavailable", `Cannot ${action}: the connection is lost`, { outcome: "not_executed" });
  }

  /** Closes the channels, then the connection, and cuts the socket if the broker does not answer; never rejects. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    // Channels first: connection.close would be sent before what the channels have not written yet.
    await Promise.all(Array.from(this.#kept, (kept) => kept.close()));
    const link = this.#link;
    this.#link = undefined;
    this.#watch?.stop();
    await link?.close();
    await this.#reconnecting;
  }

  /** Cuts the link; a new one is opened. */
  abandon(why: string): void {
    this.#link?.cut(why);
  }

  /** Waits for `ms` milliseconds, or until the connection is closed. */
  async sleep(ms: number): Promise<void> {
    const { signal } = this.#ended;
    await new Promise<void>((resolve) => {
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

  /** Emits `retrying`, and waits before the next attempt, or until the connection is closed. */
  async pause(attempt: number, error: RpcError, atMost = Infinity): Promise<void> {
    const delay = Math.min(backoffDelay(attempt, this.#backoff), atMost);
    this.emit({ type: "retrying", attempt: attempt + 1, delay, error });
    await this.sleep(delay);
  }

  /** Emits an event. */
  emit(event: ConnectionEvent): void {
    // Read for its clock.
    void this.status;
    this.#listener(event);
  }

  /** Removes a channel, which is then not opened again. */
  release(kept: KeptChannel): void {
    this.#kept.delete(kept);
  }

  #assertOpen(): void {
    if (this.#ended.signal.aborted) {
      throw new RpcError("unavailable", "Cannot use the connection: it is closed", { outcome: "not_executed" });
    }
  }

  /** Connects to the first host that answers, and opens all channels again. */
  async #connect(): Promise<void> {
    const link = await this.#hosts.useAny((host) => this.#openLink(host));
    link.assertOpen();
    this.#link = link;
    this.#connectedAt = performance.now();
    const { heartbeat } = link.host;
    if (heartbeat > 0) this.#watch = new ConfirmWatch(link, 1_000 * heartbeat, () => this.#silence());
    const { label: host } = link.host;
    const lostAt = this.#lostAt;
    this.emit(
      lostAt === undefined
        ? { type: "connected", host }
        : { type: "connected", host, downtime: this.#connectedAt - lostAt },
    );
    for (const kept of this.#kept) kept.reopen(link);
  }

  #handshake(host: Host, listener: LinkListener): Promise<Link> {
    const { connectTimeout = CONNECT_TIMEOUT_MS, tls, name, [OPEN_LINK]: open = AmqpLink.open } = this.#options;
    return open(host, { connectTimeout, tls, name, signal: this.#ended.signal }, listener);
  }

  async #openLink(host: Host): Promise<Link> {
    this.#assertOpen();
    let link: Link | undefined = undefined;
    link = await this.#handshake(host, {
      blocked: (reason) => this.#block(host.label, reason),
      lost: (cause) => link !== undefined && this.#lose(link, cause),
    });
    link.assertOpen();
    if (this.#ended.signal.aborted) {
      await link.close();
      this.#assertOpen();
    }
    return link;
  }

  #block(host: string, reason: string | undefined): void {
    const since = this.#blockedAt;
    this.#blockedAt = reason === undefined ? undefined : since ?? performance.now();
    if (reason !== undefined) this.emit({ type: "blocked", host, reason });
    else this.emit({ type: "unblocked", host, duration: performance.now() - (since ?? performance.now()) });
  }

  /** How long the broker has left published messages without any confirm, in ms: the longest such time of all channels. */
  #silence(): number {
    let longest = 0;
    for (const { plan, current } of this.#kept) {
      if (current !== undefined) longest = Math.max(longest, plan.confirms?.silence ?? 0);
    }
    return longest;
  }

  #lose(link: Link, cause: Error | undefined): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#watch?.stop();
    if (this.#ended.signal.aborted) return;
    const { label } = link.host;
    const { message } = toRpcError(cause ?? new Error("the broker closed it"), `keep the connection to ${label}`);
    const error = new RpcError("unavailable", message.replace("Cannot keep", "Lost"), { cause });
    for (const kept of this.#kept) kept.fail(error);
    this.#lastError = error;
    // Only a link that has lasted for a while resets the backoff.
    if (performance.now() - this.#connectedAt > this.#backoff.max) this.#attempts = 0;
    this.#lostAt = performance.now();
    this.#blockedAt = undefined;
    this.emit({ type: "disconnected", host: label, error });
    this.#reconnecting ??= this.#reconnect(error).finally(() => this.#reconnecting = undefined);
  }

  async #reconnect(lost: RpcError): Promise<void> {
    let error = lost;
    while (!this.#ended.signal.aborted && this.#link === undefined) {
      await this.pause(this.#attempts++, error);
      if (this.#ended.signal.aborted) return;
      try {
        await this.#connect();
      } catch (failure) {
        this.#lastError = error = toRpcError(failure, "reconnect");
      }
    }
  }
}
