/** Scenarios over memory. */

import { memory } from "../../../lib/testing.ts";
import { type Scenario, type Story, tell } from "./scenario.ts";

/** Runs a scenario over memory. */
export function tellInMemory(scenario: Scenario): Promise<Story> {
  return tell(scenario, async (wiring) => {
    const rpc = await memory(wiring);
    return { ...rpc, queue: crypto.randomUUID(), otherQueue: crypto.randomUUID() };
  });
}
