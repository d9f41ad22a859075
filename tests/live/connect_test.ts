import { Buffer } from "node:buffer";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  type ClientEvent,
  type ConnectOptions,
  RpcClient,
  type RpcClientOptions,
  type RpcCode,
  RpcError,
  RpcServer,
  type RpcServerOptions,
} from "../../lib/rpc.ts";
import { answers } from "../support/broker.ts";
import { freePort } from "../support/ports.ts";
import { admit, lab, listen, refuse } from "../support/lab.ts";
import { double } from "../support/lab_server.ts";
import { waitFor } from "../support/live.ts";
import { at, relay } from "../support/relay.ts";

const test = lab();

/** What must not be seen of a URL. */
const SECRET = "hush-hush%40word";

/** How connecting fails; neither the error nor an event shows the password. */
async function failure(urls: string | readonly string[], options: RpcClientOptions = {}): Promise<RpcError> {
  const events = listen<ClientEvent>();
  const error = await assertRejects(() => RpcClient.connect(urls, { ...options, onEvent: events.onEvent }), RpcError);
  const server = await assertRejects(() => RpcServer.connect(urls, { ...options, onEvent: () => {} }), RpcError);
  assertEquals([server.code, server.outcome], [error.code, error.outcome], "both sides fail alike");
  const shown = Deno.inspect([error, server, events.all], { depth: 20, showHidden: true }) + error.stack;
  for (const secret of [SECRET, decodeURIComponent(SECRET)]) {
    assert(!shown.includes(secret), `"${secret}" is shown: ${shown}`);
  }
  assertEquals(error.outcome, "not_executed");
  return error;
}

/** Something on 127.0.0.1 that accepts connections, and does what `then` says with each. */
function peer(then: (socket: Deno.TcpConn) => Promise<void>): AsyncDisposable & { readonly port: number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const sockets: Deno.TcpConn[] = [];
  const accepting = (async () => {
    for await (const socket of listener) {
      sockets.push(socket);
      await then(socket).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const socket of sockets) {
        try {
          socket.close();
        } catch {
          // `then` has closed it.
        }
      }
    },
  };
}

test("A wrong password is unauthenticated, at once, and never shown", async ({ broker }) => {
  const error = await failure(`amqp://guest:${SECRET}@127.0.0.1:${broker.port}`, { waitForBroker: 60_000 });
  assertEquals(error.code, "unauthenticated");
  assertStringIncludes(error.message, `127.0.0.1:${broker.port}`);
});

test("An unknown user is unauthenticated", async ({ broker }) => {
  const error = await failure(`amqp://nobody:${SECRET}@127.0.0.1:${broker.port}`);
  assertEquals(error.code, "unauthenticated");
});

test("A missing virtual host is permission_denied, and named", async ({ broker, url }) => {
  const error = await failure(`${url}/no%2Fsuch`, { waitForBroker: 60_000 });
  assertEquals(error.code, "permission_denied");
  assertStringIncludes(error.message, "no/such");
  assertStringIncludes(error.message, `127.0.0.1:${broker.port}`);
});

test("A virtual host that the user may not enter is permission_denied", async ({ broker }) => {
  await broker.eval(
    `rabbit_auth_backend_internal:add_user(<<"outsider">>, <<"${decodeURIComponent(SECRET)}">>, <<"lab">>)`,
  );
  const error = await failure(`amqp://outsider:${SECRET}@127.0.0.1:${broker.port}`, { waitForBroker: 60_000 });
  assertEquals(error.code, "permission_denied");
  assertStringIncludes(error.message, 'the virtual host "/"');
});

test("A password with special characters works as the URL encodes it", async ({ broker }) => {
  await broker.eval('rabbit_auth_backend_internal:add_user(<<"odd">>, <<"p@ss:w/rd%">>, <<"lab">>)');
  await broker.eval(
    'rabbit_auth_backend_internal:set_permissions(<<"odd">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"lab">>)',
  );
  await using _client = await RpcClient.connect(
    `amqp://odd:${encodeURIComponent("p@ss:w/rd%")}@127.0.0.1:${broker.port}`,
  );
});

test("A virtual host whose name is encoded in the URL is entered", async ({ broker, queue }) => {
  const url = await broker.vhost("team/one");
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url);
  assertEquals(await client.call(double(queue), 2), 4);
  assertEquals(await broker.eval('length(rabbit_amqqueue:list_names(<<"team/one">>)) > 0'), "true");
});

test("A broker that does not speak TLS refuses amqps: at once", async ({ broker }) => {
  const began = performance.now();
  const error = await failure(`amqps://guest:${SECRET}@127.0.0.1:${broker.port}`, { waitForBroker: 60_000 });
  assertEquals(error.code, "unauthenticated");
  assertStringIncludes(error.message, `127.0.0.1:${broker.port}`);
  assertLess(performance.now() - began, 5_000);
});

test("Nobody there is unavailable, naming every host that was tried", async () => {
  const [one, two] = [freePort(), freePort()];
  const error = await failure([at(one), `amqp://guest:${SECRET}@127.0.0.1:${two}`]);
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, `127.0.0.1:${one}`);
  assertStringIncludes(error.message, `127.0.0.1:${two}`);
});

test("An unknown host is unavailable, and named", async () => {
  const error = await failure(`amqp://guest:${SECRET}@no-such-host.invalid`);
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, "no-such-host.invalid:5672");
});

for (const scheme of ["amqp", "amqps"]) {
  test(`A host that accepts and says nothing is unavailable after connectTimeout (${scheme}:)`, async () => {
    await using silent = peer(async () => {});
    const began = performance.now();
    const error = await failure(`${scheme}://guest:${SECRET}@127.0.0.1:${silent.port}`, { connectTimeout: 100 });
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, `127.0.0.1:${silent.port}`);
    assertStringIncludes(error.message, "100 ms");
    assertGreaterOrEqual(performance.now() - began, 190);
    assertLess(performance.now() - began, 2_000);
  });
}

test("connectTimeout bounds the whole attempt, not the silence within it", async () => {
  const over = new AbortController();
  // connection.start of an endless length, one byte each time.
  await using slow = peer(async (socket) => {
    await socket.write(Uint8Array.from([1, 0, 0, 0, 1, 0, 0]));
    while (!over.signal.aborted) {
      await socket.write(Uint8Array.from([0]));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  const began = performance.now();
  const error = await assertRejects(() => RpcClient.connect(at(slow.port), { connectTimeout: 200 }), RpcError);
  over.abort();
  assertEquals(error.code, "unavailable");
  assertLess(performance.now() - began, 2_000);
});

const STRANGERS: Readonly<Record<string, (socket: Deno.TcpConn) => Promise<void>>> = {
  "hangs up": (socket) => Promise.resolve(socket.close()),
  "answers as a web server does": async (socket) => {
    await socket.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
  },
  "speaks another version of AMQP": async (socket) => {
    await socket.write(Uint8Array.from([0x41, 0x4d, 0x51, 0x50, 0, 1, 0, 0]));
    socket.close();
  },
};

for (const [does, then] of Object.entries(STRANGERS)) {
  test(`A host that ${does} is unavailable, and named`, async () => {
    await using stranger = peer(then);
    const error = await failure(`amqp://guest:${SECRET}@127.0.0.1:${stranger.port}`, { connectTimeout: 1_000 });
    assertEquals(error.code, "unavailable");
    assertStringIncludes(error.message, `127.0.0.1:${stranger.port}`);
  });
}

test("The hosts of a list are tried in turn until one answers", async ({ broker, queue }) => {
  await using silent = peer(async () => {});
  const events = listen<ClientEvent>();
  const urls = [at(freePort()), at(silent.port), at(broker.port)];
  await using client = await RpcClient.connect(urls, { connectTimeout: 1_000, onEvent: events.onEvent });
  assertEquals(events.all, [{ type: "connected", host: `127.0.0.1:${broker.port}` }]);
  await using server = await RpcServer.connect(urls, { connectTimeout: 1_000 });
  await server.serve(double(queue), (n) => 2 * n);
  assertEquals(await client.call(double(queue), 2), 4);
});

test("A host of a list that refuses the password ends it at once", async ({ broker, url }) => {
  const error = await failure([`amqp://guest:${SECRET}@127.0.0.1:${broker.port}`, url]);
  assertEquals(error.code, "unauthenticated");
});

test("waitForBroker keeps trying until a broker answers", async ({ broker, url }) => {
  await refuse(broker);
  const events = listen<ClientEvent>();
  const options = { waitForBroker: 30_000, backoff: { min: 1, max: 50 }, onEvent: events.onEvent };
  const connecting = RpcClient.connect(url, options);
  try {
    await waitFor("three attempts were made", () => events.of("retrying").length >= 3);
  } finally {
    await admit(broker);
  }
  await using _client = await connecting;
  assertEquals(events.of("retrying").map(({ attempt }) => attempt).slice(0, 3), [1, 2, 3]);
  assertEquals(events.all.at(-1), { type: "connected", host: `127.0.0.1:${broker.port}` });
  assertEquals(events.losses, 0);
});

test("waitForBroker gives up at its deadline, unavailable", async () => {
  const began = performance.now();
  const port = freePort();
  const error = await assertRejects(
    () => RpcClient.connect(at(port), { waitForBroker: 300, backoff: { min: 10, max: 50 }, onEvent: () => {} }),
    RpcError,
  );
  const took = performance.now() - began;
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, `127.0.0.1:${port}`);
  assertGreaterOrEqual(took, 290);
  assertLess(took, 3_000);
});

test("waitForBroker ends though a host says nothing, within connectTimeout", async () => {
  await using silent = peer(async () => {});
  const began = performance.now();
  const options = { waitForBroker: 300, connectTimeout: 400, onEvent: () => {} };
  const error = await assertRejects(() => RpcClient.connect(at(silent.port), options), RpcError);
  assertEquals(error.code, "unavailable");
  assertLess(performance.now() - began, 3_000);
});

test("A connection has the name that was asked for", async ({ broker, url }) => {
  await using _client = await RpcClient.connect(url, { name: "billing-4" });
  const names = await broker.show("rabbit_networking:connection_info_all([client_properties])");
  assertStringIncludes(names, "billing-4");
});

test("Without a URL the broker is the one of AMQP_URL", async ({ broker }) => {
  const before = Deno.env.get("AMQP_URL");
  Deno.env.set("AMQP_URL", broker.url);
  try {
    const events = listen<ClientEvent>();
    await using _client = await RpcClient.connect(undefined, { onEvent: events.onEvent });
    assertEquals(events.all, [{ type: "connected", host: `127.0.0.1:${broker.port}` }]);
  } finally {
    if (before === undefined) Deno.env.delete("AMQP_URL");
    else Deno.env.set("AMQP_URL", before);
  }
});

test("A client that fails to connect leaves no connection behind", async ({ broker }) => {
  const connections = (): Promise<string> => broker.eval("length(rabbit_networking:connections())");
  await broker.eval('rabbit_auth_backend_internal:add_user(<<"none">>, <<"none">>, <<"lab">>)');
  await broker.eval(
    'rabbit_auth_backend_internal:set_permissions(<<"none">>, <<"/">>, <<"^$">>, <<"^$">>, <<"^$">>, <<"lab">>)',
  );
  const url = `amqp://none:none@127.0.0.1:${broker.port}`;
  // Connected, it may not declare its reply queue.
  const error = await assertRejects(() => RpcClient.connect(url, { onEvent: () => {} }), RpcError);
  assertEquals(error.code, "permission_denied");
  await waitFor("no connection is left", async () => await connections() === "0");
  assert(await answers(url));
});

const NUMBERS: readonly (readonly [string, number, number, (value: number) => ConnectOptions])[] = [
  ["connectTimeout", 1, 2_147_483_647, (connectTimeout) => ({ connectTimeout })],
  ["waitForBroker", 0, 2_147_483_647, (waitForBroker) => ({ waitForBroker })],
  ["heartbeat", 0, 65_535, (heartbeat) => ({ heartbeat })],
  ["drainTimeout", 0, 2_147_483_647, (drainTimeout) => ({ drainTimeout })],
  ["backoff.min", 1, 2_147_483_647, (min) => ({ backoff: { min, max: 2_147_483_647 } })],
  ["backoff.max", 5, 2_147_483_647, (max) => ({ backoff: { min: 5, max } })],
];

for (const [name, min, max, options] of NUMBERS) {
  test(`connect() takes '${name}' from ${min} to ${max}, and nothing else`, async ({ url }) => {
    for (const value of [min, max]) {
      try {
        await using _client = await RpcClient.connect(url, options(value));
      } catch (error) {
        // Too short a time is no mistake.
        if (!(error instanceof RpcError && error.code === "unavailable")) throw error;
      }
    }
    for (const value of [min - 1, max + 1, min + 0.5, NaN, Infinity]) {
      for (const side of [RpcClient, RpcServer]) {
        const error = await assertRejects(() => side.connect(url, options(value)), RangeError);
        assertStringIncludes(error.message, `'${name}'`);
        assertStringIncludes(error.message, `between ${min} and ${max}`);
      }
    }
    for (const value of ["1000", null, {}, true]) {
      const error = await assertRejects(() => RpcServer.connect(url, options(value as unknown as number)), TypeError);
      assertStringIncludes(error.message, `'${name}'`);
    }
  });
}

const WRONG: Readonly<Record<string, readonly unknown[]>> = {
  name: [5, {}, "x".repeat(256), "ü".repeat(128)],
  onEvent: ["log", 5, {}],
  backoff: [5, "1s", {}, { min: 5 }],
  tls: ["ca.pem", 5],
};

for (const [option, values] of Object.entries(WRONG)) {
  for (const value of values) {
    const shown = Deno.inspect(value, { strAbbreviateSize: 20 });
    test(`connect() refuses ${option}: ${shown}`, async ({ url }) => {
      const options = { [option]: value };
      const sides = [
        () => RpcClient.connect(url, options as RpcClientOptions),
        () => RpcServer.connect(url, options as RpcServerOptions),
      ];
      for (const connect of sides) {
        const error = await assertRejects(async () => {
          await using _peer = await connect();
        });
        assert(error instanceof TypeError || error instanceof RangeError, Deno.inspect(error));
        assertStringIncludes(error.message, `'${option}`);
      }
    });
  }
}

test("An option that is undefined is as if it were absent", async ({ url }) => {
  const options = {
    connectTimeout: undefined,
    waitForBroker: undefined,
    heartbeat: undefined,
    backoff: undefined,
    drainTimeout: undefined,
    name: undefined,
    tls: undefined,
    onEvent: undefined,
  };
  await using _client = await RpcClient.connect(url, options as unknown as RpcClientOptions);
  await using _server = await RpcServer.connect(url, options as unknown as RpcServerOptions);
});

test("A listener that throws neither ends the connection nor the process", async ({ broker, url, queue }) => {
  await using link = relay(broker.port);
  await using server = await RpcServer.connect(url);
  await server.serve(double(queue), (n) => 2 * n);
  let heard = 0;
  const onEvent = (): void => {
    heard++;
    throw new Error("the listener's own affair");
  };
  await using client = await RpcClient.connect(at(link.port), { backoff: { min: 1, max: 10 }, onEvent });
  link.cut();
  await waitFor("it is back", () => heard >= 4);
  assertEquals(await client.call(double(queue), 2), 4);
});

test("connect() that is aborted ends with canceled, at once", async ({ broker }) => {
  await using link = relay(broker.port);
  link.stall();
  for (const connect of [RpcClient.connect, RpcServer.connect]) {
    const controller = new AbortController();
    const connecting = assertRejects(
      () => connect(at(link.port), { signal: controller.signal, connectTimeout: 60_000 }),
      RpcError,
    );
    await waitFor("it is under way", () => link.accepted > 0);
    controller.abort("enough");
    const error = await connecting;
    assertEquals([error.code, error.outcome, error.cause], ["canceled", "not_executed", "enough"]);
  }
});

/** A broker that ends the connection in the very packet that completes the handshake. */
function abrupt(): { readonly port: number; readonly close: () => void; readonly accepted: () => number } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let accepted = 0;
  const method = (body: number[]): Uint8Array => {
    const size = Buffer.alloc(4);
    size.writeUInt32BE(body.length);
    return Uint8Array.from([1, 0, 0, ...size, ...body, 0xce]);
  };
  const text = (value: string): number[] => {
    const bytes = Array.from(new TextEncoder().encode(value));
    return [0, 0, 0, bytes.length, ...bytes];
  };
  const start = method([0, 10, 0, 10, 0, 9, 0, 0, 0, 0, ...text("PLAIN"), ...text("en_US")]);
  const tune = method([0, 10, 0, 30, 0, 0, 0, 2, 0, 0, 0, 0]);
  const openOk = method([0, 10, 0, 41, 0]);
  const close = method([0, 10, 0, 50, 1, 64, 3, 98, 121, 101, 0, 0, 0, 0]);
  async function serve(socket: Deno.Conn): Promise<void> {
    accepted++;
    const buffer = new Uint8Array(4096);
    try {
      for (const answer of [[start], [tune], [openOk, close]]) {
        if (await socket.read(buffer) === null) break;
        await socket.write(Uint8Array.from(answer.flatMap((part) => Array.from(part))));
      }
      while (await socket.read(buffer) !== null);
    } catch {
      // The client has gone.
    }
    socket.close();
  }
  (async () => {
    for await (const socket of listener) serve(socket);
  })();
  return { port: listener.addr.port, close: () => listener.close(), accepted: () => accepted };
}

test("A broker that closes the connection as it opens is unavailable, not taken for alive", async () => {
  const broker = abrupt();
  const error = await assertRejects(() => RpcClient.connect(`amqp://127.0.0.1:${broker.port}`), RpcError);
  const code: RpcCode = "unavailable";
  assertEquals(error.code, code);
  assert(broker.accepted() >= 1);
  broker.close();
});
