/**
 * `deno task overload`: more calls than the servers can answer, on a private broker.
 *
 * @module
 */

import { parseCommandLine, runScript, UsageError } from "../../lib/cli/command_line.ts";
import { Broker, interruption } from "../support/broker.ts";
import { ensureRabbitMQ, runScript as runOnBroker } from "../support/install.ts";
import { machine } from "./machine.ts";
import { type Case, type Clock, DEADLINE, runCase, type Shown } from "./overload_case.ts";
import { PeerFailure } from "./pair.ts";
import { markdown } from "./report.ts";

const HELP = `Ask servers for more than they can do, on a private broker, and count what is answered in time

Usage: deno task overload [--json] [--seconds S] [--loads N,...] [--cases TEXT]

  --json         print JSON instead of a table
  --seconds S    how long each case is counted, default 6
  --loads N,...  offered load as multiples of the capacity, default 1.3,3,10
  --cases TEXT   only cases whose names contain this text
  --help

Handlers take 20 ms unless the case says otherwise, servers have prefetch 1, calls a deadline of 1 s.
The exit code is 1 if a case with a load above 1 had less than 0.9 of the capacity answered in time, both of that of the
handlers alone and of the measured one, or a case below 1 had a call refused`;

const VALUED = ["seconds", "loads", "cases"];
const HOUR = 3_600_000;
const SAME: Clock = { shift: 0, drift: 0, sent: true };
const BASE: Omit<Case, "name" | "load"> = {
  methods: { work: [20, 20] },
  servers: [1],
  prefetch: 1,
  queueType: "quorum",
  clocks: [SAME, SAME],
  lateServers: false,
  plainRate: 0,
};

/** What is offered to each load above 1. */
const OVERLOADED: readonly (Partial<Case> & { readonly name: string })[] = [
  { name: "one server" },
  { name: "one server, classic queue", queueType: "classic" },
  { name: "two servers, one ten times as slow", servers: [1, 10] },
  { name: "three kinds of work: 5, 20, 80 ms", methods: { short: [5, 5], middle: [20, 20], long: [80, 80] } },
  { name: "handlers of 4 to 40 ms", methods: { work: [4, 40] } },
  {
    name: "clocks 3 h and 8 h ahead, one drifting 1000 ppm",
    clocks: [{ ...SAME, shift: 3 * HOUR }, { ...SAME, shift: 8 * HOUR }, { ...SAME, drift: 1_000 }],
  },
  { name: "the server starts into it", lateServers: true },
  { name: "plain clients without deadlines beside", plainRate: 5 },
  { name: "clients that send no clock", clocks: [{ ...SAME, sent: false }, { ...SAME, sent: false }] },
  // Not more calls per second than a small machine can make.
  { name: "prefetch 10, handlers of 100 ms", methods: { work: [100, 100] }, prefetch: 10 },
];

/** What is to be served as if there were no overload protection. */
const BELOW: readonly Case[] = [
  { ...BASE, name: "handlers of 4 to 40 ms", methods: { work: [4, 40] }, load: 0.7 },
  { ...BASE, name: "three kinds of work", methods: { short: [5, 5], middle: [20, 20], long: [80, 80] }, load: 0.7 },
  {
    ...BASE,
    name: "handlers of 4 to 40 ms, clients that send no clock",
    methods: { work: [4, 40] },
    clocks: [{ ...SAME, sent: false }],
    load: 0.7,
  },
];

const GOOD = 0.9;

interface Settings {
  readonly json: boolean;
  readonly seconds: number;
  readonly loads: readonly number[];
  readonly filter: string;
}

function positive(text: string, flag: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new UsageError(`Invalid value "${text}" for --${flag}: want a number above 0`);
}

function readSettings(): Settings {
  const { values, switches, operands } = parseCommandLine(Deno.args, VALUED, ["json"]);
  if (operands.length > 0) throw new UsageError(`Unexpected argument "${operands[0]}"`);
  return {
    json: switches.has("json"),
    seconds: positive(values["seconds"] ?? "6", "seconds"),
    loads: (values["loads"] ?? "1.3,3,10").split(",").map((load) => positive(load, "loads")),
    filter: values["cases"] ?? "",
  };
}

function isGood({ load, goodput, goodputOfMeasured, refused, back }: Shown): boolean {
  return load < 1 ? refused === 0 : Math.max(goodput, goodputOfMeasured) >= GOOD && back === 1;
}

function row(shown: Shown): readonly string[] {
  const { name, load, capacity, offered, goodput, goodputOfMeasured, refused, late, other, wasted, back, plain } =
    shown;
  const part = (value: number): string => Number.isNaN(value) ? "" : value.toFixed(2);
  return [
    name,
    `${load}`,
    capacity.toFixed(0),
    offered.toFixed(0),
    part(goodput),
    part(goodputOfMeasured),
    refused.toFixed(1),
    late.toFixed(1),
    other.toFixed(1),
    part(wasted),
    part(back),
    part(plain),
  ];
}

const COLUMNS = [
  "case",
  "load",
  "capacity/s",
  "offered/s",
  "goodput",
  "of measured",
  "refused/s",
  "late/s",
  "other/s",
  "wasted",
  "back",
  "plain",
];

async function overload({ json, seconds, loads, filter }: Settings): Promise<number> {
  const stop = interruption();
  await ensureRabbitMQ();
  await using broker = await Broker.start();
  const over = OVERLOADED.flatMap((what) => loads.map((load) => ({ ...BASE, ...what, load })));
  const cases = [...over, ...BELOW].filter(({ name }) => name.includes(filter));
  const all: Shown[] = [];
  let failed = false;
  for (const [index, what] of cases.entries()) {
    if (stop.aborted) return 130;
    console.error(`${index + 1} of ${cases.length}: ${what.name}, load ${what.load}`);
    let shown: Shown;
    try {
      shown = await runCase(broker.url, what, seconds);
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      failed = true;
      console.error(`  failed: ${error.message}`);
      continue;
    }
    all.push(shown);
    console.error(`  ${row(shown).slice(3).join("  ")}  ${JSON.stringify(shown.byMethod)} ${shown.lastError}`);
  }
  if (json) {
    console.log(JSON.stringify({ ...await machine(broker), deadline: DEADLINE, seconds, cases: all }, null, 2));
  } else {
    console.log(markdown([COLUMNS, ...all.map(row)]));
    console.log(`
capacity: what the servers could answer if they did nothing but run handlers, by the time that these took. goodput: calls
answered in time, as a part of that; of measured: as a part of what the same servers answered when there were always
enough calls, whose deadlines were far away. wasted: the part of the servers' time spent on calls that had ended. back: the answered part of the calls made later than one deadline after the load fell. plain: the answered part
of the calls without deadlines.`);
  }
  return all.every(isGood) && !failed ? 0 : 1;
}

await runOnBroker(() =>
  runScript(HELP, () => overload(readSettings()), () => parseCommandLine(Deno.args, VALUED, ["json"]))
);
