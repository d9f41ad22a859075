import { assertEquals } from "@std/assert";
import { type HostAddress, HostAddresses } from "../../../lib/connection/host_addresses.ts";

/** What an attempt did: which addresses it tried in order, and whether another one follows. */
type Attempt = readonly [tried: string, another: boolean];

/** Addresses of one letter each; upper case for family 6. */
function parse(name: string): HostAddress[] {
  return Array.from(name, (address) => ({ address, family: address === address.toUpperCase() ? 6 : 4 }));
}

/** Makes an attempt as a socket does, which is connected to the first address that accepts, and fails then. */
function attempt(addresses: HostAddresses, name: string, accepting: string): Attempt {
  const wanted = addresses.attempt(parse(name)).map(({ address }) => address);
  const connected = wanted.find((address) => accepting.includes(address));
  if (connected !== undefined) addresses.connected(connected);
  return [wanted.join(""), addresses.fail()];
}

function begun(): HostAddresses {
  const addresses = new HostAddresses("host:1");
  addresses.begin();
  return addresses;
}

Deno.test("HostAddresses tries each address that accepts the connection and then fails", () => {
  const addresses = begun();
  assertEquals(attempt(addresses, "abc", "abc"), ["abc", true]);
  assertEquals(attempt(addresses, "abc", "abc"), ["bc", true]);
  assertEquals(attempt(addresses, "abc", "abc"), ["c", false]);
});

Deno.test("HostAddresses makes one attempt where no address accepts a connection", () => {
  assertEquals(attempt(begun(), "abc", ""), ["abc", false]);
});

Deno.test("HostAddresses tries the address before the one that has failed as well", () => {
  const addresses = begun();
  assertEquals(attempt(addresses, "abc", "b"), ["abc", true]);
  assertEquals(attempt(addresses, "abc", "b"), ["ac", false]);
});

Deno.test("HostAddresses avoids in later rounds what has failed, as long as it has others", () => {
  const addresses = begun();
  attempt(addresses, "ab", "ab");
  addresses.attempt(parse("ab"));
  addresses.connected("b");
  addresses.succeed();
  addresses.begin();
  assertEquals(attempt(addresses, "ab", "ab"), ["b", true]);
  assertEquals(attempt(addresses, "ab", "ab"), ["a", false]);
  addresses.begin();
  // Both have failed.
  assertEquals(attempt(addresses, "ab", "ab"), ["ab", true]);
});

Deno.test("HostAddresses does not avoid what has failed and then succeeded", () => {
  const addresses = begun();
  attempt(addresses, "ab", "ab");
  addresses.begin();
  addresses.attempt(parse("ab"));
  addresses.connected("a");
  addresses.succeed();
  addresses.begin();
  assertEquals(attempt(addresses, "ab", "ab")[0], "ab");
});

Deno.test("HostAddresses makes one attempt at a name with one address, and at an address", () => {
  const addresses = new HostAddresses("host:1");
  for (const name of ["a", ""]) {
    for (let round = 0; round < 2; round++) {
      addresses.begin();
      assertEquals(attempt(addresses, name, name), [name, false]);
      assertEquals([addresses.alone, addresses.label], [true, "host:1"]);
    }
  }
});

Deno.test("HostAddresses follows a name that moves", () => {
  const addresses = begun();
  attempt(addresses, "ab", "ab");
  assertEquals(attempt(addresses, "cd", "cd"), ["cd", true]);
  assertEquals(attempt(addresses, "cd", "cd"), ["d", false]);
  addresses.begin();
  // The failure of a is forgotten.
  assertEquals(attempt(addresses, "ab", "ab"), ["ab", true]);
});

Deno.test("HostAddresses tries what has failed, if the name has no other address now", () => {
  const addresses = begun();
  attempt(addresses, "ab", "a");
  addresses.begin();
  assertEquals(attempt(addresses, "a", "a"), ["a", false]);
});

Deno.test("HostAddresses tries each family once if the socket resolves the name by itself", () => {
  const addresses = begun();
  for (const [family, another] of [[4, true], [6, false]] as const) {
    const [first] = addresses.attempt(parse("abAB"));
    assertEquals(first?.family, family);
    addresses.narrow(family);
    addresses.connected(first?.address ?? "");
    assertEquals(addresses.fail(), another);
  }
});

Deno.test("HostAddresses ends where every lookup gives other addresses", () => {
  const addresses = begun();
  const letters = "abcdefghijklmnopqrstuvwxyz";
  let attempts = 1;
  while (attempt(addresses, letters.slice(attempts, attempts + 2), letters)[1]) attempts++;
  assertEquals(attempts, 16);
});

Deno.test("HostAddresses shows the address of a name that has several", () => {
  const addresses = begun();
  addresses.attempt(parse("ab"));
  assertEquals(addresses.label, "host:1");
  addresses.connected("b");
  assertEquals(addresses.label, "host:1 (b)");
});
