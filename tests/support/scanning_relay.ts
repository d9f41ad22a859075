import { Buffer } from "node:buffer";

/** A link to a broker that looks at what is sent to the broker. */
export interface ScanningRelay extends AsyncDisposable {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  /** How many connections were cut so far. */
  readonly cuts: number;
  /** Closes every connection; new ones are accepted. */
  cut(): void;
}

/**
 * What a relay does with bytes: passes on those that it is given, closes the connection, or answers in place of the
 * broker and closes it then.
 */
export type Passed = Uint8Array | undefined | { readonly lastWords: Uint8Array };

/**
 * Opens a link on 127.0.0.1 to a port of this machine.
 *
 * @param scan Gives which of the bytes to pass on. Bytes are not lined up with frames, but what was written in one turn
 * mostly comes at once.
 */
export function scanningRelay(port: number, scan: (bytes: Buffer) => Passed): ScanningRelay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets = new Set<Deno.TcpConn>();
  let cuts = 0;

  function drop(...dropped: Deno.TcpConn[]): void {
    for (const socket of dropped) if (sockets.delete(socket)) socket.close();
  }

  async function write(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
  }

  async function pump(from: Deno.TcpConn, to: Deno.TcpConn, look: (bytes: Buffer) => Passed): Promise<void> {
    const buffer = Buffer.alloc(262_144);
    try {
      for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
        const passed = look(buffer.subarray(0, size));
        if (!(passed instanceof Uint8Array)) {
          cuts++;
          if (passed !== undefined) await write(from, passed.lastWords);
          break;
        }
        await write(to, passed);
      }
    } catch {
      // Closed by either end.
    }
    drop(from, to);
  }

  async function join(client: Deno.TcpConn): Promise<void> {
    sockets.add(client);
    const broker = await Deno.connect({ hostname: "127.0.0.1", port });
    sockets.add(broker);
    for (const socket of [client, broker]) socket.setNoDelay(true);
    await Promise.all([pump(client, broker, scan), pump(broker, client, (bytes) => bytes)]);
  }

  const joined: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) joined.push(join(client));
  })();
  return {
    port: listener.addr.port,
    get cuts() {
      return cuts;
    },
    cut: () => drop(...sockets),
    async [Symbol.asyncDispose]() {
      listener.close();
      drop(...sockets);
      await accepting;
      await Promise.all(joined);
    },
  };
}
