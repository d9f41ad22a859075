import { through } from "./relay.ts";
/**
 * Listens in on what a client or server asks of its broker.
 *
 * @module
 */

/** A link to a broker that notes the methods of AMQP that are sent to the broker. */
export interface Tap extends AsyncDisposable {
  /** Where to connect. */
  readonly url: string;
  /** The methods so far: `channel.open`, `basic.publish rpc.control/queue`; heartbeats and contents are none. */
  readonly methods: string[];
}

const METHODS: Readonly<Record<string, string>> = {
  "20.10": "channel.open",
  "40.10": "exchange.declare",
  "50.10": "queue.declare",
  "60.20": "basic.consume",
  "60.40": "basic.publish",
};

function shortText(payload: DataView, at: number): string {
  return new TextDecoder().decode(new Uint8Array(payload.buffer, payload.byteOffset + at + 1, payload.getUint8(at)));
}

function describe(payload: DataView): string {
  const id = `${payload.getUint16(0)}.${payload.getUint16(2)}`;
  const name = METHODS[id] ?? id;
  if (name !== "basic.publish") return name;
  const exchange = shortText(payload, 6);
  return `${name} ${exchange}/${shortText(payload, 7 + payload.getUint8(6))}`;
}

/** Passes bytes on, and notes the method frames among them. */
function note(methods: string[]): TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  let rest = new Uint8Array();
  let skip = 8; // "AMQP" 0 0 9 1
  return new TransformStream({
    transform(chunk, controller) {
      const bytes = new Uint8Array(rest.length + chunk.length);
      bytes.set(rest);
      bytes.set(chunk, rest.length);
      let at = skip;
      const view = new DataView(bytes.buffer);
      while (at + 7 <= bytes.length) {
        const size = view.getUint32(at + 3);
        if (at + size + 8 > bytes.length) break;
        if (view.getUint8(at) === 1) methods.push(describe(new DataView(bytes.buffer, at + 7, size)));
        at += size + 8;
      }
      skip = Math.max(0, at - bytes.length);
      rest = bytes.slice(Math.min(at, bytes.length));
      controller.enqueue(chunk);
    },
  });
}

/** Opens a link to the broker at `url`; whoever uses it must disconnect before it is disposed of. */
export function tap(url: string): Tap {
  const { hostname, port } = new URL(url);
  const methods: string[] = [];
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const links = new Set<Promise<unknown>>();

  async function link(client: Deno.TcpConn): Promise<void> {
    const broker = await Deno.connect({ hostname, port: Number(port || 5672) });
    for (const socket of [client, broker]) socket.setNoDelay(true);
    await Promise.allSettled([
      client.readable.pipeThrough(note(methods)).pipeTo(broker.writable),
      broker.readable.pipeTo(client.writable),
    ]);
  }

  const accepting = (async () => {
    for await (const client of listener) links.add(link(client));
  })();

  return {
    url: through(url, listener.addr.port),
    methods,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(links);
    },
  };
}
