import { assertEquals, assertLess } from "@std/assert";
import { Broker } from "../support/broker.ts";
import { permitted } from "../support/lab.ts";
import { type Field, goesOn, scenario, type Shown } from "../support/load.ts";
import { waitFor } from "../support/live.ts";

/** Three nodes: the client is on the first, the servers are on the others; the queues' leaders are on the second. */
type Cluster = readonly [Broker, Broker, Broker];

/** What a node of a minority does. */
const config = ["cluster_partition_handling = pause_minority"];

/** Waits until every queue has its leader, and three members that are up. */
async function inSync([first]: Cluster, queues: readonly string[]): Promise<void> {
  await waitFor("the queues are in sync", async () => {
    const listed: { name: string; online: unknown[] | string }[] = JSON.parse(
      await first.ctl("list_queues", "name", "online", "--formatter", "json"),
    );
    const online = new Map(listed.map(({ name, online }) => [name, online.length]));
    return queues.every((queue) => online.get(queue) === 3);
  }, 60_000);
}

async function leaders([first]: Cluster, queues: readonly string[]): Promise<string[]> {
  const listed: { name: string; leader: string }[] = JSON.parse(
    await first.ctl("list_queues", "name", "leader", "--formatter", "json"),
  );
  return listed.filter(({ name }) => queues.includes(name)).map(({ leader }) => leader);
}

/**
 * Cuts a node off from the others, or lets them meet again. All its links go at once: where one goes first, the others
 * take it for a partial partition, for which every node pauses.
 */
async function partition(cluster: Cluster, lost: Broker, cut: boolean): Promise<void> {
  const others = cluster.filter((broker) => broker !== lost).map(({ nodename }) => `'${nodename}'`).join(", ");
  const cookie = cut ? "nope" : "erlang:get_cookie()";
  const end = cut ? `, [erlang:disconnect_node(N) || N <- [${others}]]` : "";
  await lost.eval(`[erlang:set_cookie(N, ${cookie}) || N <- [${others}]]${end}`);
}

function test(
  name: string,
  fault: (field: Field, cluster: Cluster) => Promise<void>,
  then?: (shown: Shown) => void,
): void {
  Deno.test({
    name: `Cluster of three, ${name}`,
    ignore: !permitted,
    fn: async () => {
      await using first = await Broker.start({ name: "c1", config });
      const joining = ["c2", "c3"].map((name) => Broker.start({ name, config, cluster: first }));
      const [second, third] = await Promise.all(joining);
      if (second === undefined || third === undefined) throw new Error("Cannot test: a node is missing");
      await using _second = second;
      await using _third = third;
      const cluster: Cluster = [first, second, third];
      const urls = cluster.map(({ url }) => url);
      const from = (node: number): string[] => [...urls.slice(node), ...urls.slice(0, node)];
      const shown = await scenario(`Cluster, ${name}`, {
        broker: first,
        clientUrls: from(0),
        serverUrls: [from(1), from(2)],
        fault: (field) => fault(field, cluster),
      });
      then?.(shown);
    },
  });
}

/** Idempotent calls go on within a second. */
function soon({ gap }: Shown): void {
  assertLess(gap, 1_000);
}

test("the leader's node killed with SIGKILL", async (field, cluster) => {
  const { queues } = field;
  await inSync(cluster, queues);
  const [, second] = cluster;
  assertEquals(await leaders(cluster, queues), Array(3).fill(second.nodename));
  await second.kill();
  await goesOn(field, 200);
  await second.startAgain();
  await inSync(cluster, queues);
}, soon);

test("the leader's node cut off as a minority", async (field, cluster) => {
  const { queues } = field;
  await inSync(cluster, queues);
  const [, second] = cluster;
  assertEquals(await leaders(cluster, queues), Array(3).fill(second.nodename));
  await partition(cluster, second, true);
  await goesOn(field, 200);
  await partition(cluster, second, false);
  await inSync(cluster, queues);
}, soon);

test("all nodes restarted, one after the other", async ({ queues }, cluster) => {
  await inSync(cluster, queues);
  for (const broker of cluster) {
    await broker.restart();
    await inSync(cluster, queues);
  }
});
