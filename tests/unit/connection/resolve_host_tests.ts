import { assertEquals } from "@std/assert";
import { type HostAddress, HostAddresses } from "../../../lib/connection/host_addresses.ts";
import { addressOptions, resolveHost } from "../../../lib/connection/resolve_host.ts";

const FOUR = { address: "127.0.0.2", family: 4 };
const OTHER = { address: "127.0.0.1", family: 4 };
const SIX = { address: "::1", family: 6 };

/** An attempt at a name with these addresses. */
function attempt(...resolved: HostAddress[]): { readonly wanted: readonly HostAddress[]; addresses: HostAddresses } {
  const addresses = new HostAddresses("host:1");
  addresses.begin();
  return { addresses, wanted: addresses.attempt(resolved) };
}

Deno.test("resolveHost() resolves no addresses", async () => {
  for (const address of ["127.0.0.1", "::1"]) assertEquals(await resolveHost(address, 1), []);
});

Deno.test("addressOptions() leaves a host with one address, or none, to the socket", () => {
  for (const resolved of [[], [FOUR]]) {
    const { addresses, wanted } = attempt(...resolved);
    assertEquals(addressOptions(wanted, 1, addresses, () => false), {});
  }
});

Deno.test("addressOptions() passes on the addresses if they are permitted", async () => {
  const { addresses, wanted } = attempt(FOUR, SIX);
  const asked: unknown[] = [];
  const { lookup, ...others } = addressOptions(wanted, 7, addresses, (...given) => asked.push(given) > 0);
  assertEquals([others, asked], [{}, [[FOUR, 7], [SIX, 7]]]);
  const all = Promise.withResolvers<unknown[]>();
  lookup?.("host", { all: true }, (...given) => all.resolve(given));
  assertEquals(await all.promise, [null, [FOUR, SIX]]);
  const one = Promise.withResolvers<unknown[]>();
  lookup?.("host", {}, (...given) => one.resolve(given));
  assertEquals(await one.promise, [null, "127.0.0.2", 4]);
});

Deno.test("addressOptions() leaves all but the family to the socket if an address is not permitted", () => {
  const { addresses, wanted } = attempt(FOUR, OTHER, SIX);
  const options = addressOptions(wanted, 7, addresses, ({ family }) => family === 4);
  assertEquals(options, { family: 4, autoSelectFamily: false });
  addresses.connected("127.0.0.2");
  assertEquals(addresses.fail(), true);
  const next = addressOptions(addresses.attempt([FOUR, OTHER, SIX]), 7, addresses, () => false);
  assertEquals(next, { family: 6, autoSelectFamily: false });
});
