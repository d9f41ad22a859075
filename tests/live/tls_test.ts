import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type ClientEvent,
  type ConnectOptions,
  RpcClient,
  RpcError,
  RpcServer,
  type TlsOptions,
} from "../../lib/rpc.ts";
import { Broker } from "../support/broker.ts";
import { freePort } from "../support/ports.ts";
import { admit, closeConnections, listen, permitted, refuse } from "../support/lab.ts";
import { double } from "../support/lab_server.ts";
import { waitFor } from "../support/live.ts";
import { relay } from "../support/relay.ts";

/** Makes certificates with the openssl command. */
async function openssl(folder: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args, cwd: folder }).output();
  if (!success) throw new Error(`Cannot run 'openssl ${args.join(" ")}': ${new TextDecoder().decode(stderr)}`);
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function authority(folder: string, name: string): Promise<void> {
  const out = ["-keyout", `${name}.key`, "-out", `${name}.crt`];
  await openssl(folder, "req", "-x509", ...KEY, "-days", "2", "-subj", `/CN=${name}`, ...out);
}

async function leaf(folder: string, name: string, by: string, extensions: readonly string[]): Promise<void> {
  await openssl(folder, "req", "-new", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
  await Deno.writeTextFile(`${folder}/${name}.ext`, extensions.join("\n"));
  const signing = ["-CA", `${by}.crt`, "-CAkey", `${by}.key`, "-CAcreateserial", "-days", "2"];
  const files = ["-in", `${name}.csr`, "-out", `${name}.crt`, "-extfile", `${name}.ext`];
  await openssl(folder, "x509", "-req", ...signing, ...files);
}

/** A broker that wants certificates, and what clients may show it. */
interface Site {
  readonly broker: Broker;
  readonly port: number;
  readonly folder: string;
  pem(file: string): string;
}

/** Adds the user of the client's certificate. */
async function addUser(broker: Broker): Promise<void> {
  await broker.eval('rabbit_auth_backend_internal:add_user(<<"rpcuser">>, <<"unused">>, <<"lab">>)');
  const all = '<<".*">>, <<".*">>, <<".*">>';
  await broker.eval(`rabbit_auth_backend_internal:set_permissions(<<"rpcuser">>, <<"/">>, ${all}, <<"lab">>)`);
}

async function build(): Promise<Site> {
  // The broker may live in another root: it finds its certificates there.
  const root = Deno.env.get("RABBITMQ_ROOT") ?? "";
  const folder = await Deno.makeTempDir({ prefix: "rpc-tls-", ...(root === "" ? {} : { dir: `${root}/tmp` }) });
  await authority(folder, "authority");
  await authority(folder, "stranger");
  await leaf(folder, "broker", "authority", [
    "extendedKeyUsage=serverAuth",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
  ]);
  await leaf(folder, "rpcuser", "authority", ["extendedKeyUsage=clientAuth", "subjectAltName=DNS:rpcuser"]);
  await leaf(folder, "impostor", "stranger", ["extendedKeyUsage=clientAuth", "subjectAltName=DNS:rpcuser"]);
  await openssl(folder, "ec", "-in", "rpcuser.key", "-aes256", "-passout", "pass:open", "-out", "locked.key");
  for await (const { name } of Deno.readDir(folder)) await Deno.chmod(`${folder}/${name}`, 0o644);
  await Deno.chmod(folder, 0o755);
  const seen = folder.slice(root.length);
  const port = freePort();
  const broker = await Broker.start({
    plugins: ["rabbitmq_auth_mechanism_ssl"],
    config: [
      `listeners.ssl.default = 127.0.0.1:${port}`,
      `ssl_options.cacertfile = ${seen}/authority.crt`,
      `ssl_options.certfile = ${seen}/broker.crt`,
      `ssl_options.keyfile = ${seen}/broker.key`,
      "ssl_options.verify = verify_peer",
      "ssl_options.fail_if_no_peer_cert = true",
      "auth_mechanisms.1 = PLAIN",
      "auth_mechanisms.2 = EXTERNAL",
      "ssl_cert_login_from = common_name",
    ],
  });
  await addUser(broker);
  return { broker, port, folder, pem: (file) => Deno.readTextFileSync(`${folder}/${file}`) };
}

let site: Site | undefined;
if (permitted) {
  Deno.test.beforeAll(async () => {
    site = await build();
  });
  Deno.test.afterAll(async () => {
    if (site === undefined) return;
    await site.broker[Symbol.asyncDispose]();
    await Deno.remove(site.folder, { recursive: true });
  });
}

function test(name: string, fn: (site: Site) => Promise<void>): void {
  Deno.test({
    name,
    ignore: !permitted,
    fn: async () => {
      if (site === undefined) throw new Error("Cannot test: the broker did not start");
      await fn(site);
    },
  });
}

/** What a good client shows. */
function good({ pem }: Site): TlsOptions {
  return { ca: pem("authority.crt"), cert: pem("rpcuser.crt"), key: pem("rpcuser.key") };
}

/** Calls over TLS, there and back. */
async function call(url: string, options: ConnectOptions): Promise<void> {
  const queue = `tls.${crypto.randomUUID()}`;
  await using server = await RpcServer.connect(url, options);
  await server.serve(double(queue), (n) => 2 * n);
  await using client = await RpcClient.connect(url, options);
  assertEquals(await client.call(double(queue), 21), 42);
}

/** How connecting fails: at once, naming the host, without the password. */
async function failure(url: string, options: ConnectOptions): Promise<RpcError> {
  const error = await assertRejects(() => RpcClient.connect(url, { waitForBroker: 60_000, ...options }), RpcError);
  assertStringIncludes(error.message, new URL(url).host);
  assert(!Deno.inspect(error, { depth: 20 }).includes("guest:guest"));
  assertEquals(error.outcome, "not_executed");
  return error;
}

for (const hostname of ["127.0.0.1", "localhost"]) {
  test(`A call works over TLS with a private authority and a client certificate (${hostname})`, async (site) => {
    await call(`amqps://guest:guest@${hostname}:${site.port}`, { tls: good(site) });
  });
}

test("Several authorities may be trusted", async (site) => {
  const ca = [site.pem("stranger.crt"), site.pem("authority.crt")];
  await call(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls: { ...good(site), ca } });
});

test("A key may have a passphrase", async (site) => {
  const tls = { ...good(site), key: site.pem("locked.key"), passphrase: "open" };
  await call(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls });
});

test("?auth_mechanism=external logs in by the client's certificate", async (site) => {
  const url = `amqps://127.0.0.1:${site.port}?auth_mechanism=external`;
  await using _client = await RpcClient.connect(url, { tls: good(site) });
  const users = await site.broker.show("rabbit_networking:connection_info_all([user, auth_mechanism])");
  assertMatch(users, /\{user,\s*<<"rpcuser">>\},\s*\{auth_mechanism,\s*<<"EXTERNAL">>\}/);
});

test("A certificate whose name is no user is unauthenticated with external", async (site) => {
  await site.broker.eval('rabbit_auth_backend_internal:delete_user(<<"rpcuser">>, <<"lab">>)');
  const url = `amqps://127.0.0.1:${site.port}?auth_mechanism=external`;
  const { code } = await failure(url, { tls: good(site) });
  assertEquals(code, "unauthenticated");
  await addUser(site.broker);
});

test("external without TLS is unauthenticated", async ({ broker }) => {
  const { code } = await failure(`amqp://127.0.0.1:${broker.port}?auth_mechanism=external`, {});
  assertEquals(code, "unauthenticated");
});

test("A wrong password over TLS is unauthenticated", async (site) => {
  const { code } = await failure(`amqps://guest:wrong@127.0.0.1:${site.port}`, { tls: good(site) });
  assertEquals(code, "unauthenticated");
});

test("A broker whose authority is not trusted is refused at once", async (site) => {
  const url = `amqps://guest:guest@127.0.0.1:${site.port}`;
  assertEquals((await failure(url, { tls: { ...good(site), ca: site.pem("stranger.crt") } })).code, "unauthenticated");
  const { cert = "", key = "" } = good(site);
  assertEquals((await failure(url, { tls: { cert, key } })).code, "unauthenticated");
});

test("A broker whose certificate has another name is refused at once", async (site) => {
  const tls = { ...good(site), servername: "broker.example" };
  const { code } = await failure(`amqps://guest:guest@localhost:${site.port}`, { tls });
  assertEquals(code, "unauthenticated");
});

test("servername says which name the broker's certificate must have", async (site) => {
  await call(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls: { ...good(site), servername: "localhost" } });
});

test("A client without a certificate is refused at once", async (site) => {
  const tls = { ca: site.pem("authority.crt") };
  const { code } = await failure(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls });
  assertEquals(code, "unauthenticated");
});

test("A client with a certificate of another authority is refused at once", async (site) => {
  const tls = { ...good(site), cert: site.pem("impostor.crt"), key: site.pem("impostor.key") };
  const { code } = await failure(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls });
  assertEquals(code, "unauthenticated");
});

test("A broker that wants TLS is unavailable without it", async ({ port }) => {
  const error = await assertRejects(() => RpcClient.connect(`amqp://guest:guest@127.0.0.1:${port}`), RpcError);
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, `127.0.0.1:${port}`);
});

test("TLS material that is none is refused at once, and not quoted", async (site) => {
  const wrong: readonly TlsOptions[] = [
    { ...good(site), key: "no key at all" },
    { ...good(site), key: site.pem("locked.key"), passphrase: "wrong" },
    { ...good(site), key: site.pem("impostor.key") },
  ];
  for (const tls of wrong) {
    const connecting = RpcClient.connect(`amqps://guest:guest@127.0.0.1:${site.port}`, { tls, waitForBroker: 60_000 });
    const error = await assertRejects(() => connecting);
    assert(
      error instanceof TypeError || error instanceof RpcError && error.code === "unauthenticated",
      Deno.inspect(error),
    );
    for (const secret of ["no key at all", "PRIVATE KEY-----"]) assert(!Deno.inspect(error).includes(secret));
  }
});

test("A TLS link that is lost comes back", async (site) => {
  const { broker, port } = site;
  const queue = `tls.${crypto.randomUUID()}`;
  await using link = relay(port);
  const events = listen<ClientEvent>();
  const options = { tls: good(site), backoff: { min: 1, max: 20 } };
  await using server = await RpcServer.connect(`amqps://guest:guest@127.0.0.1:${port}`, {
    ...options,
    onEvent: () => {},
  });
  const called = double(queue, { idempotent: true });
  await server.serve(called, (n) => 2 * n);
  const url = `amqps://guest:guest@127.0.0.1:${link.port}`;
  await using client = await RpcClient.connect(url, { ...options, onEvent: events.onEvent });
  link.cut();
  await waitFor("the client notices", () => events.losses === 1);
  assertEquals(await client.call(called, 1), 2);
  await refuse(broker);
  await closeConnections(broker);
  await waitFor("the client notices", () => events.losses === 2);
  await admit(broker);
  assertEquals(await client.call(called, 2), 4);
});

test("close() does not hang on a TLS link that has stalled", async (site) => {
  await using link = relay(site.port);
  const url = `amqps://guest:guest@127.0.0.1:${link.port}`;
  const client = await RpcClient.connect(url, { tls: good(site), drainTimeout: 50, onEvent: () => {} });
  link.stall();
  await client.close();
});
