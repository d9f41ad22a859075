import { Buffer } from "node:buffer";

/** A link to a broker that seems not to hear some methods. */
export interface DeafBroker extends AsyncDisposable {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  /** How many frames were not passed on. */
  readonly ignored: number;
  /** How many connections are open. */
  readonly connections: number;
  /** Class and method, such as `20.10` for channel.open, that are not passed on to the broker from now on. */
  ignore(...methods: string[]): void;
}

/** Opens a link on 127.0.0.1 to a broker on a port of this machine. Heartbeats go through, whatever is ignored. */
export function deafBroker(port: number): DeafBroker {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets = new Set<Deno.TcpConn>();
  const ignored = new Set<string>();
  let left = 0;

  function drop(...dropped: Deno.TcpConn[]): void {
    for (const socket of dropped) if (sockets.delete(socket)) socket.close();
  }

  /** Cuts what comes into frames, after the header of the protocol, and leaves out those that are ignored. */
  function filter(): (bytes: Buffer) => Buffer {
    let rest = Buffer.alloc(0);
    let started = false;
    return (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      const passed: Buffer[] = [];
      if (!started && rest.length >= 8) {
        passed.push(rest.subarray(0, 8));
        rest = rest.subarray(8);
        started = true;
      }
      while (started && rest.length >= 7 && rest.length >= rest.readUInt32BE(3) + 8) {
        const size = rest.readUInt32BE(3) + 8;
        const method = rest[0] === 1 ? `${rest.readUInt16BE(7)}.${rest.readUInt16BE(9)}` : "";
        if (ignored.has(method)) left++;
        else passed.push(rest.subarray(0, size));
        rest = rest.subarray(size);
      }
      return Buffer.concat(passed);
    };
  }

  async function pump(from: Deno.TcpConn, to: Deno.TcpConn, pass: (bytes: Buffer) => Buffer): Promise<void> {
    const buffer = Buffer.alloc(65_536);
    try {
      for (let size = await from.read(buffer); size !== null; size = await from.read(buffer)) {
        const bytes = pass(buffer.subarray(0, size));
        for (let sent = 0; sent < bytes.length;) sent += await to.write(bytes.subarray(sent));
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
    await Promise.all([pump(client, broker, filter()), pump(broker, client, (bytes) => bytes)]);
  }

  const joined: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const client of listener) joined.push(join(client));
  })();
  return {
    port: listener.addr.port,
    get ignored() {
      return left;
    },
    get connections() {
      return sockets.size / 2;
    },
    ignore: (...methods) => methods.forEach((method) => ignored.add(method)),
    async [Symbol.asyncDispose]() {
      listener.close();
      drop(...sockets);
      await accepting;
      await Promise.all(joined);
    },
  };
}
