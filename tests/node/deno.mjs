/**
 * What the tests use of Deno, on Node. What needs a subprocess is ignored, since `run` is not granted.
 *
 * @module
 */

import { connect, createServer } from "node:net";
import { test } from "node:test";
import { Readable, Writable } from "node:stream";
import { inspect } from "node:util";

/** A TCP socket with the methods of `Deno.TcpConn`. */
class Conn {
  #socket;

  constructor(socket) {
    this.#socket = socket;
    socket.on("error", () => {});
  }

  async read(buffer) {
    const socket = this.#socket;
    for (;;) {
      const bytes = socket.readableLength > 0 ? socket.read(Math.min(buffer.length, socket.readableLength)) : null;
      if (bytes !== null) {
        buffer.set(bytes);
        return bytes.length;
      }
      if (socket.readableEnded || socket.destroyed) return null;
      // Starts reading: "readable" comes when there is something, or the end.
      socket.read(0);
      await new Promise((resolve) => {
        const events = ["readable", "end", "close"];
        const done = () => {
          for (const event of events) socket.off(event, done);
          resolve();
        };
        for (const event of events) socket.on(event, done);
      });
    }
  }

  async write(bytes) {
    // Copied: the caller uses its buffer again.
    await new Promise((resolve, reject) => {
      this.#socket.write(bytes.slice(), (error) => error ? reject(error) : resolve());
    });
    return bytes.length;
  }

  get readable() {
    return Readable.toWeb(this.#socket);
  }

  get writable() {
    return Writable.toWeb(this.#socket);
  }

  setNoDelay(on) {
    this.#socket.setNoDelay(on);
  }

  close() {
    this.#socket.destroy();
  }

  [Symbol.dispose]() {
    this.close();
  }
}

function listen({ hostname, port }) {
  const server = createServer();
  const waiting = [];
  let wake = () => {};
  let closed = false;
  server.on("connection", (socket) => {
    waiting.push(new Conn(socket));
    wake();
  });
  // Without a host: with one, the port is not known at once.
  server.listen(port);
  return {
    get addr() {
      return { hostname, port: server.address().port, transport: "tcp" };
    },
    close() {
      closed = true;
      server.close();
      wake();
    },
    async *[Symbol.asyncIterator]() {
      while (!closed) {
        const conn = waiting.shift();
        if (conn === undefined) await new Promise((resolve) => wake = resolve);
        else yield conn;
      }
    },
  };
}

class BadResource extends Error {}

function register(...[first, second]) {
  const { name, fn, ignore } = typeof first === "string" ? { name: first, fn: second } : first;
  test(name, { skip: ignore === true }, () => fn());
}

globalThis.denoForTests = {
  test: register,
  listen,
  connect({ hostname, port }) {
    const { promise, resolve, reject } = Promise.withResolvers();
    const socket = connect({ host: hostname, port }, () => resolve(new Conn(socket)));
    socket.on("error", reject);
    return promise;
  },
  inspect,
  env: { get: (name) => process.env[name] },
  permissions: { querySync: ({ name }) => ({ state: name === "run" ? "denied" : "granted" }) },
  errors: { BadResource },
};
