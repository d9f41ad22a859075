/** A link whose broker does only what the test says. */

import type { Channel, ChannelListener } from "../../lib/connection/channel.ts";
import { ChannelClosedError } from "../../lib/connection/channel.ts";
import { Connection } from "../../lib/connection/connection.ts";
import { type Link, type LinkListener, OPEN_LINK } from "../../lib/connection/link.ts";
import type { Reply } from "../../lib/server/reply_publisher.ts";
import { toByteString } from "../../lib/wire/byte_string.ts";
import type { Publish } from "../../lib/wire/message.ts";

/** A channel that notes what is published on it, and confirms nothing by itself. */
export class FakeChannel implements Pick<Channel, "closed" | "listen" | "onClosed" | "publish" | "close"> {
  readonly published: Publish[] = [];
  closed = false;
  #listener: ChannelListener = {};
  readonly #onClosed: ((refusal: Error | undefined) => void)[] = [];

  listen(listener: ChannelListener): void {
    this.#listener = listener;
  }

  onClosed(closed: (refusal: Error | undefined) => void): void {
    this.#onClosed.push(closed);
  }

  publish(message: Publish): boolean {
    if (this.closed) throw new ChannelClosedError("The channel is closed");
    this.published.push(message);
    return true;
  }

  /** The broker confirms or refuses all up to this one. */
  confirm(deliveryTag = this.published.length, nack = false): void {
    this.#listener.confirmed?.({ deliveryTag, multiple: true, nack });
  }

  /** The broker closes the channel. */
  refuse(refusal: Error | undefined): void {
    if (this.closed) return;
    this.closed = true;
    for (const closed of this.#onClosed) closed(refusal);
  }

  close(): Promise<void> {
    this.refuse(undefined);
    return Promise.resolve();
  }
}

/** A connection to a broker that does only what the test says. */
export interface FakeLink extends AsyncDisposable {
  readonly connection: Connection;
  /** The channels that were opened, in order. */
  readonly channels: FakeChannel[];
  /** Raises or clears an alarm; what listens to the connection is told. */
  block(reason: string | undefined): void;
}

/** Opens a connection; `unblocked` is called when an alarm has ended. */
export async function fakeLink(unblocked: () => void = () => {}): Promise<FakeLink> {
  const channels: FakeChannel[] = [];
  let blocked: string | undefined;
  let listener: LinkListener | undefined;
  const connection = await Connection.open("amqp://fake", {
    heartbeat: 0,
    backoff: { min: 1, max: 1 },
    [OPEN_LINK]: (host, _options, hears) => {
      listener = hears;
      const link: Link = {
        host,
        version: undefined,
        get blocked() {
          return blocked;
        },
        assertOpen: () => {},
        openChannel: () => {
          const channel = new FakeChannel();
          channels.push(channel);
          return Promise.resolve(channel as unknown as Channel);
        },
        close: () => Promise.resolve(),
        cut: () => {},
      };
      return Promise.resolve(link);
    },
  }, ({ type }) => type === "unblocked" && unblocked());
  return {
    connection,
    channels,
    block(reason) {
      blocked = reason;
      listener?.blocked(reason);
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

/** A reply of one byte, its id, without an address. */
export function reply(id: number): Omit<Reply, "replyTo" | "done"> {
  return {
    correlationId: toByteString(`${id}`),
    contentType: "text/plain",
    isError: false,
    headers: undefined,
    body: new Uint8Array([id]),
    deadline: performance.now() + 60_000,
  };
}
