import { assert, assertEquals } from "@std/assert";
import { simulate, type Simulation } from "../../support/overload_simulation.ts";

const DEADLINE = 1_000;
/** From here on the state is steady. */
const STEADY = 5_000;
const DURATION = 15_000;

type Duration = (dice: number) => number;

const SERVERS: Readonly<Record<string, readonly Duration[]>> = {
  "one server": [() => 20],
  "handlers that vary by ten": [(dice) => 4 + 36 * dice],
  "two servers that differ by ten": [() => 20, () => 200],
};

/** Calls per ms that the servers can answer. */
function capacityOf(servers: readonly Duration[]): number {
  return servers.reduce((sum, duration) => sum + 1 / duration(0.5), 0);
}

function plan(servers: readonly Duration[], load: number, options: Partial<Simulation> = {}): Simulation {
  return {
    load: [[0, load * capacityOf(servers)]],
    duration: DURATION,
    deadline: DEADLINE,
    servers,
    clock: true,
    shedding: true,
    ...options,
  };
}

for (const [name, servers] of Object.entries(SERVERS)) {
  for (const load of [1.3, 3, 10]) {
    for (const clock of [true, false]) {
      const how = clock ? "" : ", without clocks";
      // Without clocks, the servers learn from work in vain alone.
      const least = clock ? 0.95 : 0.88;
      Deno.test(`at ${load} times the capacity at least ${least} of it is answered in time: ${name}${how}`, () => {
        const { answered } = simulate(plan(servers, load, { clock }), STEADY);
        const goodput = answered / (DURATION - STEADY) / capacityOf(servers);
        assert(goodput >= least, `${goodput}`);
      });
    }
  }

  for (const clock of [true, false]) {
    Deno.test(`below the capacity nothing is refused: ${name}${clock ? "" : ", without clocks"}`, () => {
      assertEquals(simulate(plan(servers, 0.7, { clock }), 0).refused, 0);
    });

    Deno.test(`one deadline after the load has fallen every call is answered: ${name}${clock ? "" : ", without clocks"}`, () => {
      const capacity = capacityOf(servers);
      const load = [[0, 10 * capacity], [STEADY, capacity / 4]] as const;
      const { made, madeAndAnswered } = simulate(
        plan(servers, 0, { load, clock, duration: STEADY + 8 * DEADLINE }),
        STEADY + DEADLINE,
        STEADY + 7 * DEADLINE,
      );
      assert(made > 10, `${made}`);
      assertEquals(madeAndAnswered, made);
    });
  }
}

Deno.test("without shedding almost nothing is answered, so what the simulation shows is not for nothing", () => {
  const servers = [() => 20];
  const { answered } = simulate(plan(servers, 3, { shedding: false }), STEADY);
  assert(answered / (DURATION - STEADY) / capacityOf(servers) < 0.3);
});
