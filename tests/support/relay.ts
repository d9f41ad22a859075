/**
 * Links to a broker that can be made to fail.
 *
 * @module
 */

/** The URL of a port of this machine, such as that of a relay. */
export function at(port: number, path = ""): string {
  return `amqp://guest:guest@127.0.0.1:${port}${path}`;
}

/** The same broker, by way of another port of this machine. */
export function through(url: string, port: number): string {
  const changed = new URL(url);
  changed.hostname = "127.0.0.1";
  changed.port = String(port);
  return String(changed);
}

/** The port of a broker on this machine. */
export function portOf(url: string): number {
  return Number(new URL(url).port || 5672);
}

/** A link to a broker that can be made to fail. */
export interface Relay extends AsyncDisposable {
  /** Where it listens. */
  readonly port: number;
  /** How many connections it has accepted so far. */
  readonly accepted: number;
  /** Stops passing bytes on, in both directions; connections stay open. */
  stall(): void;
  /** Passes bytes on again, those that came meanwhile first. */
  resume(): void;
  /** Closes every connection; new ones are accepted. */
  cut(): void;
  /** Closes every connection and accepts no more. */
  close(): Promise<void>;
}

/** Opens a link on this machine to `targetPort`, on a port of its own, or on that of a link that was closed. */
export function relay(targetPort: number, port = 0, hostname = "127.0.0.1"): Relay {
  const listener = Deno.listen({ hostname, port });
  const sockets = new Set<Deno.TcpConn>();
  const pumps = new Set<Promise<void>>();
  let gate: PromiseWithResolvers<void> | undefined;
  let accepted = 0;

  function drop(socket: Deno.TcpConn): void {
    if (sockets.delete(socket)) socket.close();
  }

  async function pump(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (;;) {
        await gate?.promise;
        const size = await from.read(buffer);
        if (size === null) break;
        await gate?.promise;
        for (let sent = 0; sent < size;) sent += await to.write(buffer.subarray(sent, size));
      }
    } catch {
      // A cut, or one of the two ends has gone.
    }
    drop(from);
    drop(to);
  }

  async function join(client: Deno.TcpConn): Promise<void> {
    sockets.add(client);
    let server: Deno.TcpConn | undefined;
    try {
      server = await Deno.connect({ hostname: "127.0.0.1", port: targetPort });
      sockets.add(server);
      for (const socket of [client, server]) socket.setNoDelay(true);
      await Promise.all([pump(client, server), pump(server, client)]);
    } catch {
      drop(client);
      if (server !== undefined) drop(server);
    }
  }

  async function accept(): Promise<void> {
    for await (const client of listener) {
      accepted++;
      const joined = join(client).finally(() => pumps.delete(joined));
      pumps.add(joined);
    }
  }

  const accepting = accept();
  const self: Relay = {
    port: listener.addr.port,
    get accepted() {
      return accepted;
    },
    stall() {
      gate ??= Promise.withResolvers();
    },
    resume() {
      gate?.resolve();
      gate = undefined;
    },
    cut() {
      for (const socket of sockets) drop(socket);
    },
    async close() {
      try {
        listener.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
      self.cut();
      self.resume();
      await Promise.all([accepting, ...pumps]);
    },
    [Symbol.asyncDispose]: () => self.close(),
  };
  return self;
}
