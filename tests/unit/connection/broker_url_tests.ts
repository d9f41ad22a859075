import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { RpcClient } from "../../../lib/client/rpc_client.ts";
import { type Host, parseHosts } from "../../../lib/connection/broker_url.ts";
import { HostAddresses } from "../../../lib/connection/host_addresses.ts";
import { RpcServer } from "../../../lib/server/rpc_server.ts";
import { environment } from "../../support/environment.ts";

/** The one host of a URL. */
function parse(url: string, heartbeat?: number): Host {
  const [host, ...others] = heartbeat === undefined ? parseHosts(url) : parseHosts(url, heartbeat);
  assert(host !== undefined && others.length === 0);
  return host;
}

Deno.test("parseHosts() fills in what a URL does not say", () => {
  assertEquals(parse("amqp://broker"), {
    label: "broker:5672",
    vhost: "/",
    heartbeat: 10,
    external: false,
    addresses: new HostAddresses("broker:5672"),
    connect: {
      protocol: "amqp",
      hostname: "broker",
      port: 5672,
      username: "guest",
      password: "guest",
      vhost: "",
      heartbeat: 10,
      frameMax: 131_072,
    },
  });
});

Deno.test("parseHosts() reads all that a URL says", () => {
  const url = "amqps://user:p%40ss@broker:1234/team%2Fone?heartbeat=7&frame_max=8192&auth_mechanism=EXTERNAL";
  assertEquals(parse(url), {
    label: "broker:1234",
    vhost: "team/one",
    heartbeat: 7,
    external: true,
    addresses: new HostAddresses("broker:1234"),
    connect: {
      protocol: "amqps",
      hostname: "broker",
      port: 1234,
      username: "user",
      password: "p@ss",
      vhost: "team%2Fone",
      heartbeat: 7,
      frameMax: 8_192,
    },
  });
});

Deno.test("parseHosts() takes port 5671 for TLS", () => {
  assertEquals(parse("amqps://broker").connect.port, 5671);
});

Deno.test("parseHosts() keeps a user without a password, and a password without a user", () => {
  const { connect } = parse("amqp://user@broker");
  assertEquals([connect.username, connect.password], ["user", ""]);
  const other = parse("amqp://:secret@broker").connect;
  assertEquals([other.username, other.password], ["", "secret"]);
});

Deno.test("parseHosts() takes a user and a password that are not encoded right as they are", () => {
  const { connect } = parse("amqp://us%er:pass%zz@broker");
  assertEquals([connect.username, connect.password], ["us%er", "pass%zz"]);
});

Deno.test("parseHosts() names an IPv6 host in brackets, and connects to it without", () => {
  const { label, connect } = parse("amqp://[::1]:7");
  assertEquals([label, connect.hostname], ["[::1]:7", "::1"]);
});

for (
  const [path, vhost, sent] of [
    ["", "/", ""],
    ["/", "/", ""],
    ["/team", "team", "team"],
    ["/%2F", "/", "%2F"],
    ["/a%zz", "a%zz", "a%zz"],
  ] as const
) {
  Deno.test(`parseHosts() takes the path "${path}" for the virtual host "${vhost}"`, () => {
    const host = parse(`amqp://broker${path}`);
    assertEquals([host.vhost, host.connect.vhost], [vhost, sent]);
  });
}

Deno.test("parseHosts() takes no other mechanism for external", () => {
  for (const mechanism of ["plain", "externally", ""]) {
    assertEquals(parse(`amqp://broker?auth_mechanism=${mechanism}`).external, false);
  }
  assertEquals(parse("amqp://broker?auth_mechanism=external").external, true);
});

Deno.test("parseHosts() takes the heartbeat of its argument where the URL has none", () => {
  assertEquals(parse("amqp://broker", 3).heartbeat, 3);
  assertEquals(parse("amqp://broker?heartbeat=4", 3).heartbeat, 4);
});

Deno.test("parseHosts() takes parameters up to their bounds", () => {
  for (const heartbeat of [0, 1, 65_535]) {
    const host = parse(`amqp://broker?heartbeat=${heartbeat}`);
    assertEquals([host.heartbeat, host.connect.heartbeat], [heartbeat, heartbeat]);
  }
  for (const size of [4_096, 4_294_967_295]) {
    assertEquals(parse(`amqp://broker?frame_max=${size}`).connect.frameMax, size);
  }
});

for (
  const [parameter, bounds] of [
    ["heartbeat=65536", "'heartbeat' must be an integer between 0 and 65535"],
    ["heartbeat=-1", "'heartbeat'"],
    ["heartbeat=", "'heartbeat'"],
    ["heartbeat=soon", "'heartbeat'"],
    ["heartbeat=1.5", "'heartbeat'"],
    ["heartbeat=0x1", "'heartbeat'"],
    ["frame_max=4095", "'frame_max' must be an integer between 4096 and 4294967295"],
    ["frame_max=4294967296", "'frame_max'"],
    ["frame_max=-5000", "'frame_max'"],
  ] as const
) {
  Deno.test(`parseHosts() refuses ?${parameter}`, () => {
    assertThrows(() => parseHosts(`amqp://broker?${parameter}`), RangeError, `Cannot connect: ${bounds}`);
  });
}

Deno.test("parseHosts() gives the hosts of a list in its order", () => {
  assertEquals(parseHosts(["amqp://b", "amqps://a:1"]).map(({ label }) => label), ["b:5672", "a:1"]);
});

Deno.test("parseHosts() without a URL takes AMQP_URL from the environment", () => {
  using _environment = environment({ AMQP_URL: "amqp://elsewhere:7" });
  assertEquals(parseHosts(undefined).map(({ label }) => label), ["elsewhere:7"]);
  assertEquals(parseHosts("amqp://named").map(({ label }) => label), ["named:5672"]);
});

for (const variables of [{}, { AMQP_URL: "" }]) {
  Deno.test(`parseHosts() without a URL takes the default with ${JSON.stringify(variables)} in the environment`, () => {
    using _environment = environment(variables);
    assertEquals(parseHosts(undefined).map(({ label }) => label), ["localhost:5672"]);
  });
}

Deno.test("parseHosts() without a URL is refused where the environment may not be read", () => {
  using _environment = environment({ AMQP_URL: "amqp://elsewhere" }, false);
  assertThrows(() => parseHosts(undefined), TypeError, "AMQP_URL may not be read");
  assertEquals(parseHosts("amqp://named").map(({ label }) => label), ["named:5672"]);
});

/** What must not be seen of a URL. */
const SECRET = "hush-hush%40word";

const REFUSED: readonly unknown[] = [
  `amqp://guest:12/${SECRET}@127.0.0.1:1`,
  `amqp://guest:12#${SECRET}@127.0.0.1:1`,
  `amqp://guest:12?${SECRET}@127.0.0.1:1`,
  `amqp://guest:12#${SECRET}`,
  "",
  "localhost",
  `http://guest:${SECRET}@127.0.0.1:1`,
  `amqp://guest:${SECRET}@`,
  `amqp//guest:${SECRET}@127.0.0.1:1`,
  `amqpss://guest:${SECRET}@127.0.0.1:1`,
  `xamqp://guest:${SECRET}@127.0.0.1:1`,
  `amqp://guest:${SECRET}@localhost:port`,
  `amqp://guest:${SECRET}@localhost:99999`,
  `guest:${SECRET}@127.0.0.1:1`,
  "amqp:///vhost",
  [],
  ["amqp://127.0.0.1:1", `guest:${SECRET}@127.0.0.1:1`],
  ["amqp://127.0.0.1:1", undefined],
  5672,
  { url: `amqp://guest:${SECRET}@127.0.0.1:1` },
  `amqp://guest:${SECRET}@127.0.0.1:1?heartbeat=soon`,
  `amqp://guest:${SECRET}@127.0.0.1:1?frame_max=small`,
];

for (const urls of REFUSED) {
  Deno.test(`connect() refuses ${Deno.inspect(urls).replaceAll(SECRET, "...")} without quoting it`, async () => {
    for (const side of [RpcClient, RpcServer]) {
      const error = await assertRejects(() => side.connect(urls as string));
      assert(error instanceof TypeError || error instanceof RangeError, Deno.inspect(error));
      const shown = Deno.inspect(error, { showHidden: true });
      for (const secret of [SECRET, "hush", "word"]) {
        assert(!error.message.replace("user:password@", "").includes(secret) && !shown.includes(SECRET), shown);
      }
      assert(error.message.startsWith("Cannot connect: "), error.message);
    }
  });
}

for (
  const [urls, text] of [
    [[], "the list of URLs is empty"],
    [5672, "'urls' must be a URL or a list of URLs"],
    [{}, "'urls' must be a URL or a list of URLs"],
    ["nonsense", "URL 1 must look like amqp://user:password@host:5672/vhost, or amqps:// for TLS"],
    [["amqp://127.0.0.1:1", "nonsense"], "URL 2 must look like"],
  ] as const
) {
  Deno.test(`parseHosts() says of ${Deno.inspect(urls)}: ${text}`, () => {
    const error = assertThrows(() => parseHosts(urls as unknown as string));
    assertInstanceOf(error, TypeError);
    assert(error.message.startsWith(`Cannot connect: ${text}`), error.message);
  });
}
