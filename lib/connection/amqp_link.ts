import type { Duplex } from "node:stream";
import type { ChannelModel } from "amqplib";
import { settlesWithin } from "../contract/deadline.ts";
import { RpcError } from "../contract/errors.ts";
import { AmqpChannel } from "./amqp_channel.ts";
import { toRpcError } from "./broker_error.ts";
import type { Host } from "./broker_url.ts";
import { FrameTransport } from "./frame_transport.ts";
import { handshake, type HandshakeOptions } from "./handshake.ts";
import { CLOSE_TIMEOUT_MS, type Link, type LinkListener } from "./link.ts";
import { SilenceWatch } from "./silence_watch.ts";

/** The socket of an amqplib connection; undefined if amqplib does not have it where it is expected. */
function socketOf(model: ChannelModel): Duplex | undefined {
  const { stream } = model.connection as unknown as { stream?: Partial<Duplex> };
  return typeof stream?.destroy === "function" ? stream as Duplex : undefined;
}

/** The version of RabbitMQ, as the broker gives it. */
function versionOf(model: ChannelModel): string | undefined {
  const { serverProperties } = model.connection as unknown as { serverProperties?: Record<string, unknown> };
  const { product, version } = serverProperties ?? {};
  return product === "RabbitMQ" && typeof version === "string" ? version.slice(0, 32) : undefined;
}

/** One connection of amqplib. */
export class AmqpLink implements Link {
  readonly host: Host;
  readonly version: string | undefined;
  readonly #model: ChannelModel;
  readonly #transport: FrameTransport | undefined;
  readonly #socket: Duplex | undefined;
  readonly #openTimeout: number;
  readonly #watch: SilenceWatch | undefined;
  #blocked: string | undefined;
  #closed = false;

  private constructor(host: Host, model: ChannelModel, openTimeout: number) {
    this.host = host;
    this.version = versionOf(model);
    this.#model = model;
    this.#socket = socketOf(model);
    this.#openTimeout = openTimeout;
    // Without a transport, amqplib reads and writes all frames, which is slower.
    const transport = this.#transport = FrameTransport.install(model);
    const { heartbeat } = host;
    if (transport !== undefined && heartbeat > 0) {
      const silent = (): void => this.cut(`the broker has sent nothing for ${2 * heartbeat} s`);
      this.#watch = new SilenceWatch(1_000 * heartbeat, () => transport.reads, silent);
    }
  }

  /**
   * Connects to a broker.
   *
   * @throws What amqplib, the socket or TLS throws; `toRpcError` says what it means.
   */
  static async open(host: Host, options: HandshakeOptions, listener: LinkListener): Promise<AmqpLink> {
    const model = await handshake(host, options);
    let cause: Error | undefined;
    model.on("error", (error) => cause = error);
    model.on("close", (error) => {
      link.#closed = true;
      link.#watch?.stop();
      link.#socket?.destroy();
      listener.lost(cause ?? error);
    });
    const link = new AmqpLink(host, model, options.connectTimeout);
    model.on("blocked", (reason) => listener.blocked(link.#blocked = reason));
    model.on("unblocked", () => listener.blocked(link.#blocked = undefined));
    return link;
  }

  get blocked(): string | undefined {
    return this.#blocked;
  }

  assertOpen(): void {
    if (!this.#closed && !this.#socket?.writableEnded && !this.#socket?.destroyed) return;
    throw new RpcError("unavailable", `Cannot connect to ${this.host.label}: the broker closed the connection at once`);
  }

  async openChannel(action: string, confirm: boolean): Promise<AmqpChannel> {
    const opening = confirm ? this.#model.createConfirmChannel() : this.#model.createChannel();
    if (!await settlesWithin(opening, this.#openTimeout)) {
      // Closes the channel if it opens later.
      opening.then((channel) => channel.close()).catch(() => {});
      const text =
        `Cannot ${action}: the broker at ${this.host.label} opened no channel within ${this.#openTimeout} ms`;
      throw new RpcError("unavailable", text, { outcome: "not_executed" });
    }
    try {
      return new AmqpChannel(await opening, this.#transport, this.#openTimeout);
    } catch (error) {
      throw toRpcError(error, action);
    }
  }

  async close(): Promise<void> {
    this.#watch?.stop();
    const closed = await settlesWithin(this.#model.close(), CLOSE_TIMEOUT_MS);
    // A socket with unsent data would keep the process alive.
    if (!closed || this.#blocked !== undefined) this.cut("Connection closed without the broker's answer");
  }

  cut(why: string): void {
    this.#socket?.destroy(new Error(why));
  }
}
