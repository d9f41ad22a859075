import { assertEquals } from "@std/assert";
import { SCENARIOS } from "../../support/scenarios/all.ts";
import { tellInMemory } from "../../support/scenarios/in_memory.ts";

for (const scenario of SCENARIOS) {
  Deno.test(`in memory: ${scenario.name}`, async () => {
    const { result } = await tellInMemory(scenario);
    assertEquals(result, scenario.expected);
  });
}
