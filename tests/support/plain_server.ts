/**
 * Servers as the tutorial writes them, which know nothing of this library.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Channel, ConsumeMessage, Options } from "amqplib";
import { withChannel } from "./live.ts";

/** Properties of a reply; `undefined` leaves one out. */
export type OddProperties = { readonly [Name in keyof Options.Publish]: Options.Publish[Name] | undefined };

/** What a plain server may do with a request. */
export interface PlainRequest {
  /** The request as it came. */
  readonly message: ConsumeMessage;
  /** Sends a reply as the tutorial's server does, with further or other properties. */
  reply(body: string | Uint8Array, properties?: OddProperties): void;
  /** Acknowledges the request. */
  ack(): void;
}

/** A server as the tutorial writes it. */
export interface PlainServer extends AsyncDisposable {
  /** The requests so far. */
  readonly received: readonly PlainRequest[];
  /** Disconnects; what is not acknowledged goes back to the queue. */
  close(): Promise<void>;
}

/** Starts a server as the tutorial writes it; `answer` acknowledges by itself. */
export async function plainServer(
  url: string,
  queue: string,
  answer: (request: PlainRequest) => void,
  options: Options.AssertQueue = { durable: true },
): Promise<PlainServer> {
  const received: PlainRequest[] = [];
  const ready = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const running = withChannel(url, async (channel: Channel) => {
    await channel.assertQueue(queue, options);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const { correlationId, replyTo } = message.properties;
      const request: PlainRequest = {
        message,
        reply: (body, properties) =>
          void channel.sendToQueue(replyTo, Buffer.from(body), { correlationId, ...properties } as Options.Publish),
        ack: () => channel.ack(message),
      };
      received.push(request);
      answer(request);
    });
    ready.resolve();
    await end.promise;
  });
  running.catch(ready.reject);
  await ready.promise;
  const close = async (): Promise<void> => {
    end.resolve();
    await running;
  };
  return { received, close, [Symbol.asyncDispose]: close };
}
