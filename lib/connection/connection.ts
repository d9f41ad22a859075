import type { Channel, ChannelModel, ConfirmChannel } from "amqplib";
import { toRpcError } from "./broker_error.ts";
import { RpcError } from "../contract/errors.ts";
import { writeDirectly } from "./write_batcher.ts";
import { type Host, parseHosts } from "./broker_url.ts";
import { guardHeaders } from "./header_guard.ts";
import { checkConnectOptions, CONNECT_TIMEOUT_MS, type ConnectOptions } from "./connect_options.ts";
import type { ConnectionEvent } from "./events.ts";
import { openLink, settlesWithin, socketOf } from "./handshake.ts";
import { MAX_TIMEOUT_MS } from "../wire/protocol.ts";

/** A channel to bring back after every loss. */
export interface ChannelPlan {
  /** What the channel is for, as in "Cannot serve ...". */
  readonly action: string;
  /** Runs on each new channel before anyone may use it. */
  setup(channel: ConfirmChannel): Promise<void>;
  /** The channel may be used. */
  opened?(): void;
  /** The channel is gone, and with it what was not confirmed; a new one follows. */
  lost?(error: RpcError): void;
}

/** A channel that is brought back after every loss, by the connection that keeps it. */
export interface KeptChannel {
  /** The channel, while there is one. */
  readonly current: ConfirmChannel | undefined;
  /** Closes the channel and lets it go. */
  close(): Promise<void>;
}

interface Kept extends KeptChannel {
  readonly plan: ChannelPlan;
  current: ConfirmChannel | undefined;
  opening: Promise<void> | undefined;
  error: RpcError | undefined;
}

/** How long a close handshake may take before the socket is cut, in ms. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Exponential backoff with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). */
export function backoffDelay(attempt: number, { min, max }: { min: number; max: number }): number {
  return Math.random() * Math.min(max, min * 2 ** Math.min(attempt, 30));
}

/**
 * One connection to one of several hosts, and the channels on it; both are
 * brought back when they are lost, until it is closed.
 */
export class Connection {
  readonly #hosts: readonly Host[];
  readonly #options: ConnectOptions;
  readonly #backoff: { readonly min: number; readonly max: number };
  readonly #notify: (event: ConnectionEvent) => void;
  readonly #kept = new Set<Kept>();
  readonly #ended = new AbortController();
  #model: ChannelModel | undefined;
  #nextHost = 0;
  #attempts = 0;
  #connectedAt = 0;
  #lastError: RpcError | undefined;
  #blocked: string | undefined;
  #reconnecting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(hosts: readonly Host[], options: ConnectOptions, notify: (event: ConnectionEvent) => void) {
    this.#hosts = hosts;
    this.#options = options;
    this.#backoff = options.backoff ?? { min: 100, max: 3_000 };
    this.#notify = notify;
  }

  /** Connects to the first host that answers. */
  static async open(
    urls: string | readonly string[] | undefined,
    options: ConnectOptions,
    notify: (event: ConnectionEvent) => void,
  ): Promise<Connection> {
    checkConnectOptions(options);
    const connection = new Connection(parseHosts(urls, options.heartbeat), options, notify);
    const giveUpAt = performance.now() + (options.waitForBroker ?? 0);
    const { signal } = options;
    const abort = (): void => connection.#ended.abort();
    signal?.addEventListener("abort", abort);
    try {
      signal?.throwIfAborted();
      await connection.#openBefore(giveUpAt);
      return connection;
    } catch (error) {
      if (!signal?.aborted) throw error;
      const text = "Cannot connect: it was canceled by its signal";
      throw new RpcError("canceled", text, { outcome: "not_executed", cause: signal.reason });
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async #openBefore(giveUpAt: number): Promise<void> {
    for (let attempt = 0;; attempt++) {
      try {
        await this.#connectAny();
        return;
      } catch (error) {
        const left = giveUpAt - performance.now();
        const final = !(error instanceof RpcError) || error.code !== "unavailable" || this.#ended.signal.aborted;
        if (final || left <= 0) throw error;
        await this.#pause(attempt, error, left);
      }
    }
  }

  /** Why the broker has stopped reading what is published; absent if it has not. */
  get blocked(): string | undefined {
    return this.#blocked;
  }

  /** Whether there is a link to a broker now. */
  get connected(): boolean {
    return this.#model !== undefined;
  }

  /**
   * Opens a channel, and a new one whenever it is lost. While there is no
   * connection it waits for one, for `patience` ms.
   *
   * @throws {RpcError} If the broker refuses what `setup` asks for.
   */
  async keep(plan: ChannelPlan, patience: number = MAX_TIMEOUT_MS): Promise<KeptChannel> {
    const giveUpAt = performance.now() + patience;
    const kept: Kept = {
      plan,
      current: undefined,
      opening: undefined,
      error: undefined,
      close: () => this.#release(kept),
    };
    this.#kept.add(kept);
    try {
      while (kept.current === undefined) {
        this.#assertOpen();
        const model = this.#model;
        const left = giveUpAt - performance.now();
        if (left <= 0) throw this.#lastError ?? new RpcError("unavailable", `Cannot ${plan.action}: no connection`);
        if (model === undefined) await settlesWithin(this.#reconnecting ?? Promise.resolve(), left);
        else await this.#openKept(kept, model).catch((error) => this.#throwIfCurrent(model, error));
      }
    } catch (error) {
      this.#kept.delete(kept);
      throw error;
    }
    return kept;
  }

  /**
   * Uses a channel once; for what the broker may answer by closing it.
   *
   * @throws {RpcError} If there is no connection, or what the broker says closes the channel.
   */
  async borrow<T>(action: string, use: (channel: Channel) => Promise<T>): Promise<T> {
    let closed = false;
    let refusal: RpcError | undefined;
    const channel = await this.channel(action, (error) => {
      closed = true;
      refusal = error;
    });
    try {
      return await use(channel);
    } catch (error) {
      throw refusal ?? toRpcError(error, action);
    } finally {
      if (!closed) channel.close().catch(() => {});
    }
  }

  /**
   * Opens a channel that is not brought back; `closed` hears when it goes, and
   * why where the broker said so.
   *
   * @throws {RpcError} If there is no connection.
   */
  async channel(action: string, closed: (refusal: RpcError | undefined) => void): Promise<Channel> {
    const model = this.#model;
    if (model === undefined) throw new RpcError("unavailable", `Cannot ${action}: the connection is lost`);
    let channel: Channel;
    try {
      channel = await model.createChannel();
    } catch (error) {
      throw toRpcError(error, action);
    }
    let refusal: RpcError | undefined;
    channel.on("error", (error) => refusal = toRpcError(error, action));
    channel.on("close", () => closed(refusal));
    return channel;
  }

  /** Closes channels, then the connection, and cuts the socket where the broker does not answer; never rejects. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    // Channels first: Connection.Close overtakes what channels have not written yet.
    await Promise.all(Array.from(this.#kept, (kept) => this.#release(kept)));
    const model = this.#model;
    this.#model = undefined;
    if (model !== undefined) {
      const socket = socketOf(model);
      // A socket that is not flushed to its end keeps the process alive.
      if (!await settlesWithin(model.close(), CLOSE_TIMEOUT_MS) || this.#blocked !== undefined) {
        socket?.destroy(new Error("Connection closed without the broker's answer"));
      }
    }
    await this.#reconnecting;
  }

  async #release(kept: Kept): Promise<void> {
    this.#kept.delete(kept);
    const channel = kept.current;
    kept.current = undefined;
    if (channel !== undefined && this.#blocked === undefined) await settlesWithin(channel.close(), CLOSE_TIMEOUT_MS);
  }

  #assertOpen(): void {
    if (this.#ended.signal.aborted) {
      throw new RpcError("unavailable", "Cannot use the connection: it is closed", { outcome: "not_executed" });
    }
  }

  #throwIfCurrent(model: ChannelModel, error: RpcError): void {
    if (this.#model === model) throw error;
  }

  /** Tries every host once, beginning after the one that was used last. */
  async #connectAny(): Promise<void> {
    const errors: RpcError[] = [];
    for (let tried = 0; tried < this.#hosts.length; tried++) {
      const host = this.#hosts[this.#nextHost++ % this.#hosts.length] as Host;
      try {
        await this.#connectTo(host);
        return;
      } catch (error) {
        const rpcError = toRpcError(error, `connect to ${host.label}`);
        if (rpcError.code !== "unavailable") throw rpcError;
        errors.push(rpcError);
      }
      this.#assertOpen();
    }
    const [first] = errors;
    if (errors.length === 1 && first !== undefined) throw first;
    throw new RpcError("unavailable", errors.map((error) => error.message).join("; "), {
      outcome: "not_executed",
      cause: first,
    });
  }

  async #connectTo(host: Host): Promise<void> {
    const { connectTimeout = CONNECT_TIMEOUT_MS, tls, name } = this.#options;
    const model = await openLink(host, { connectTimeout, tls, name, signal: this.#ended.signal });
    let cause: Error | undefined;
    model.on("error", (error) => cause = error);
    model.on("close", (error) => this.#lose(model, cause ?? error));
    model.on("blocked", (reason) => {
      this.#blocked = reason;
      this.#notify({ type: "blocked", reason });
    });
    model.on("unblocked", () => {
      this.#blocked = undefined;
      this.#notify({ type: "unblocked" });
    });
    // Without it amqplib writes as it always does, only slower.
    writeDirectly(model);
    guardHeaders(model);
    const socket = socketOf(model);
    if (socket?.writableEnded || socket?.destroyed) {
      // A close that came in the same read as the end of the handshake was told before anybody could listen.
      throw new RpcError("unavailable", `Cannot connect to ${host.label}: the broker closed the connection at once`);
    }
    if (this.#ended.signal.aborted) {
      await settlesWithin(model.close(), CLOSE_TIMEOUT_MS);
      this.#assertOpen();
    }
    this.#model = model;
    this.#blocked = undefined;
    this.#connectedAt = performance.now();
    this.#notify({ type: "connected", host: host.label });
    for (const kept of this.#kept) this.#bringBack(kept, model);
  }

  #lose(model: ChannelModel, cause: Error | undefined): void {
    socketOf(model)?.destroy();
    if (this.#model !== model) return;
    this.#model = undefined;
    this.#blocked = undefined;
    if (this.#ended.signal.aborted) return;
    const { message } = toRpcError(cause ?? new Error("the broker closed it"), "keep the connection");
    const error = new RpcError("unavailable", message, { cause });
    for (const kept of this.#kept) kept.error ??= error;
    this.#lastError = error;
    // A link that lasted starts the backoff anew; one that is lost again and again does not.
    if (performance.now() - this.#connectedAt > this.#backoff.max) this.#attempts = 0;
    this.#notify({ type: "disconnected", error });
    this.#reconnecting ??= this.#reconnect(error).finally(() => this.#reconnecting = undefined);
  }

  async #reconnect(lost: RpcError): Promise<void> {
    let error = lost;
    while (!this.#ended.signal.aborted && this.#model === undefined) {
      await this.#pause(this.#attempts++, error);
      if (this.#ended.signal.aborted) return;
      try {
        await this.#connectAny();
      } catch (failure) {
        this.#lastError = error = toRpcError(failure, "reconnect");
      }
    }
  }

  /** Waits out the backoff; a close ends it. */
  async #pause(attempt: number, error: RpcError, atMost = Infinity): Promise<void> {
    const delay = Math.min(backoffDelay(attempt, this.#backoff), atMost);
    this.#notify({ type: "retrying", attempt: attempt + 1, delay, error });
    await this.sleep(delay);
  }

  /** Gives up a link that answers no more, whatever its heartbeats say; it is made again. */
  abandon(why: string): void {
    if (this.#model !== undefined) socketOf(this.#model)?.destroy(new Error(why));
  }

  /** Waits so many ms; a close ends it. */
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

  #openKept(kept: Kept, model: ChannelModel): Promise<void> {
    return kept.opening ??= this.#openChannel(kept, model).finally(() => kept.opening = undefined);
  }

  async #openChannel(kept: Kept, model: ChannelModel): Promise<void> {
    let refusal: Error | undefined;
    let channel: ConfirmChannel | undefined;
    let closed = true;
    try {
      const opened = channel = await model.createConfirmChannel();
      closed = false;
      channel.on("error", (error) => refusal = error);
      channel.on("close", () => {
        closed = true;
        if (kept.current === opened) this.#loseChannel(kept, model, refusal);
      });
      await kept.plan.setup(channel);
      if (closed) throw new Error("the channel was closed");
      if (!this.#kept.has(kept)) throw new Error("the channel is not wanted any more");
      kept.error = undefined;
      kept.current = channel;
    } catch (error) {
      if (channel !== undefined && !closed) channel.close().catch(() => {});
      throw toRpcError(refusal ?? error, kept.plan.action);
    }
    kept.plan.opened?.();
  }

  #loseChannel(kept: Kept, model: ChannelModel, refusal: Error | undefined): void {
    kept.current = undefined;
    kept.error = refusal === undefined ? undefined : toRpcError(refusal, kept.plan.action);
    if (kept.error !== undefined) this.#notify({ type: "channel_lost", error: kept.error });
    // amqplib closes the channels of a lost connection before it says so.
    queueMicrotask(() => {
      const error = kept.error ?? new RpcError("unavailable", `Cannot ${kept.plan.action}: the channel was closed`);
      kept.plan.lost?.(error);
      if (this.#model === model) this.#bringBack(kept, model);
    });
  }

  /** Opens a kept channel again until it is open, or until its connection is lost. */
  async #bringBack(kept: Kept, model: ChannelModel): Promise<void> {
    const wanted = (): boolean => this.#model === model && this.#kept.has(kept) && kept.current === undefined;
    for (let attempt = 0; wanted(); attempt++) {
      try {
        await this.#openKept(kept, model);
      } catch (error) {
        if (wanted()) await this.#pause(attempt, toRpcError(error, kept.plan.action));
      }
    }
  }
}
