/** Everything that must be the same over memory and over a broker. */

import { CALLS } from "./calls.ts";
import { ENDINGS } from "./endings.ts";
import { FAILURES } from "./failures.ts";
import type { Scenario } from "./scenario.ts";

/** All scenarios. */
export const SCENARIOS: readonly Scenario[] = [...CALLS, ...FAILURES, ...ENDINGS];
