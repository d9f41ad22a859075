import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { type Host, parseHosts } from "../../../lib/connection/broker_url.ts";
import { HostRotation } from "../../../lib/connection/host_rotation.ts";
import { RpcError } from "../../../lib/contract/errors.ts";

const HOSTS = parseHosts(["amqp://a", "amqp://b", "amqp://c"]);

/** Uses hosts, of which only those named here can be used; gives which were tried. */
function site(hosts: readonly Host[], good: string) {
  const tried: string[] = [];
  const rotation = new HostRotation(hosts);
  const use = ({ connect: { hostname = "" } }: Host): Promise<string> => {
    tried.push(hostname);
    return good.includes(hostname) ? Promise.resolve(hostname) : Promise.reject(new Error(`${hostname} is away`));
  };
  return { tried, useAny: () => rotation.useAny(use) };
}

Deno.test("HostRotation gives what the first host that can be used gives", async () => {
  const { tried, useAny } = site(HOSTS, "bc");
  assertEquals([await useAny(), tried], ["b", ["a", "b"]]);
});

Deno.test("HostRotation begins after the host that was used last", async () => {
  const { tried, useAny } = site(HOSTS, "abc");
  for (let n = 0; n < 4; n++) await useAny();
  assertEquals(tried, ["a", "b", "c", "a"]);
});

Deno.test("HostRotation tries each host once, and says what is wrong with each", async () => {
  const { tried, useAny } = site(HOSTS, "");
  const error = await assertRejects(useAny, RpcError);
  assertEquals(tried, ["a", "b", "c"]);
  assertEquals([error.code, error.outcome], ["unavailable", "not_executed"]);
  const why = ["a", "b", "c"].map((host) => `Cannot connect to ${host}:5672: ${host} is away`);
  assertEquals(error.message, why.join("; "));
  assertEquals((error.cause as Error).message, why[0]);
});

Deno.test("HostRotation of one host says what is wrong with it, and no more", async () => {
  const { useAny } = site(HOSTS.slice(0, 1), "");
  const error = await assertRejects(useAny, RpcError);
  assertEquals([error.code, error.message], ["unavailable", "Cannot connect to a:5672: a is away"]);
  assertEquals((error.cause as Error).message, "a is away");
});

Deno.test("HostRotation ends at once with what a host refuses", async () => {
  const refusal = new RpcError("unauthenticated", "Wrong password");
  let tried = 0;
  const error = await assertRejects(
    () =>
      new HostRotation(HOSTS).useAny(() => {
        tried++;
        return Promise.reject(refusal);
      }),
    RpcError,
  );
  assertStrictEquals(error, refusal);
  assertEquals(tried, 1);
});
