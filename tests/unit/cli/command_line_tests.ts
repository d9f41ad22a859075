import {
  assert,
  assertEquals,
  assertFalse,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import config from "../../../deno.json" with { type: "json" };
import { DEFAULT_URL } from "../../../lib/connection/broker_url.ts";
import { RpcError } from "../../../lib/contract/errors.ts";
import {
  type Args,
  asUsage,
  brokerUrl,
  EXIT,
  parseCommandLine,
  parseDuration,
  parseWhole,
  reportNoBroker,
  runScript,
  untilSignal,
  URL_FLAGS,
  UsageError,
  wantsJson,
} from "../../../lib/cli/command_line.ts";
import { OutputError } from "../../../lib/cli/output.ts";
import { consoleErrors } from "../../support/console_errors.ts";
import { environment } from "../../support/environment.ts";
import { FakeClock } from "../../support/fake_clock.ts";

function parse(...argv: string[]): Args {
  return parseCommandLine(argv, ["url", "queue"], ["json"]);
}

const VERSIONS = `@rabbitmq-rpc/rpc ${config.version}, Deno ${Deno.version.deno}, amqplib 2.3.1`;

/** The message with which a command line is refused. */
function refusal(...argv: string[]): string {
  return assertThrows(() => parse(...argv), UsageError).message;
}

Deno.test("Exit codes are those of the README", () => {
  assertEquals(EXIT, {
    ok: 0,
    failed: 1,
    usage: 2,
    noBroker: 3,
    noServer: 4,
    timeout: 5,
    interrupted: 130,
    brokenPipe: 141,
  });
});

Deno.test("parseCommandLine() of nothing is empty", () => {
  assertEquals(parse(), { values: {}, lists: {}, switches: new Set<string>(), operands: [] });
});

for (const argv of [["--url", "a", "--json", "30"], ["--url=a", "30", "--json"], ["30", "--json", "--url", "a"]]) {
  Deno.test(`parseCommandLine() reads ${argv.join(" ")}`, () => {
    assertEquals(parse(...argv), { values: { url: "a" }, lists: {}, switches: new Set(["json"]), operands: ["30"] });
  });
}

Deno.test("parseCommandLine() leaves operands as they were typed", () => {
  assertEquals(parse("007", "1e3", "0x1e", "", " 5", "+5").operands, ["007", "1e3", "0x1e", "", " 5", "+5"]);
});

Deno.test("parseCommandLine() leaves values as they were typed", () => {
  assertEquals(parse("--url", "007", "--queue", "1e3").values, { url: "007", queue: "1e3" });
});

for (
  const argv of [["--json"], ["q", "--json", "--", "x"], ["-o", "json"], ["-ojson"], ["-o=json"], ["--output=json"]]
) {
  Deno.test(`wantsJson() of ${argv.join(" ")}`, () => {
    assertEquals(wantsJson(argv), true);
  });
}

for (const argv of [[], ["--", "--json"], ["q", "--", "-o", "json"], ["-o", "--", "json"], ["-o", "text"], ["json"]]) {
  Deno.test(`wantsJson() of ${argv.join(" ") || "nothing"} is false: what is behind -- is an operand`, () => {
    assertEquals(wantsJson(argv), false);
  });
}

Deno.test("parseCommandLine() knows --help, -h and --version everywhere", () => {
  assertEquals(parse("--help").switches, new Set(["help"]));
  assertEquals(parse("-h").switches, new Set(["help"]));
  assertEquals(parse("--version").switches, new Set(["version"]));
  assertEquals(parseCommandLine(["--help"], []).switches, new Set(["help"]));
});

for (const number of ["-5", "-.5", "-5x"]) {
  Deno.test(`parseCommandLine() takes ${number} for an operand`, () => {
    assertEquals(parse(number), { values: {}, lists: {}, switches: new Set<string>(), operands: [number] });
  });
}

Deno.test("parseCommandLine() has operands below zero first", () => {
  assertEquals(parse("30", "-5").operands, ["30", "-5"]);
});

Deno.test("parseCommandLine() takes a dash alone, and what follows two dashes, for operands", () => {
  assertEquals(parse("a", "-", "--url", "b").operands, ["a", "-"]);
  assertEquals(parse("a", "--", "--url", "-x").operands, ["a", "--url", "-x"]);
});

Deno.test("parseCommandLine() collects flags that may be given several times, by their short names too", () => {
  const { lists, values, operands } = parseCommandLine(
    ["-H", "a:1", "q", "--header", "b: 2", "-o", "json"],
    ["output"],
    [],
    {
      lists: ["header"],
      short: { H: "header", o: "output" },
    },
  );
  assertEquals([lists, values, operands], [{ header: ["a:1", "b: 2"] }, { output: "json" }, ["q"]]);
});

for (
  const [argument, header] of [
    ["-Htenant:acme", "tenant:acme"],
    ["-Hx=1:2", "x=1:2"],
    ["-H=a:1", "a:1"],
    ["-H1:-2", "1:-2"],
    ["-Hhelp:a b", "help:a b"],
    ["-H-5:x", "-5:x"],
  ] as const
) {
  Deno.test(`parseCommandLine() reads ${argument}`, () => {
    const more = { lists: ["header"], short: { H: "header" } };
    const { lists, operands } = parseCommandLine(["q", argument, "b"], [], [], more);
    assertEquals([lists, operands], [{ header: [header] }, ["q", "b"]]);
  });
}

Deno.test("parseCommandLine() checks no flag after two dashes", () => {
  const more = { lists: ["header"], short: { H: "header" } };
  const { operands } = parseCommandLine(["q", "--", "--json=1", "-Ha:1", "-5", "--"], [], ["json"], more);
  assertEquals(operands, ["q", "--json=1", "-Ha:1", "-5", "--"]);
});

Deno.test("parseCommandLine() of a negative number after a flag that takes a value takes it for that", () => {
  assertEquals(parse("--url", "-5").values, { url: "-5" });
});

for (const [text, wanted] of [["1", 1], ["007", 7], ["10", 10]] as const) {
  Deno.test(`parseWhole() reads ${text}`, () => assertEquals(parseWhole(text, "count", 1, 10), wanted));
}

for (const text of ["", "0", "11", "-1", "1.5", "1e1", "0x1", " 1", "9".repeat(20)]) {
  Deno.test(`parseWhole() refuses ${JSON.stringify(text)}`, () => {
    const { message } = assertThrows(() => parseWhole(text, "count", 1, 10), UsageError);
    assertEquals(message, `Invalid value "${text}" for --count: want a whole number from 1 to 10`);
  });
}

for (const flag of ["--qeue", "-x", "--no-json"]) {
  Deno.test(`parseCommandLine() refuses ${flag}, and says which flags there are`, () => {
    const wanted = "want one of --url, --queue, --json, --help, --version";
    assertEquals(refusal(flag), `Unknown flag "${flag}": ${wanted}`);
  });
}

for (const argv of [["--url"], ["--url="], ["--url", "--json"], ["--url", ""]]) {
  Deno.test(`parseCommandLine() refuses ${JSON.stringify(argv)}, which lacks a value`, () => {
    assertEquals(refusal(...argv), "Missing value: --url needs a value after it");
  });
}

for (const argument of ["--json=yes", "--help=", "--version=1"]) {
  Deno.test(`parseCommandLine() refuses ${argument}, whose flag takes no value`, () => {
    assertEquals(refusal(argument), `Unexpected value in "${argument}": this flag takes none`);
  });
}

for (
  const [text, ms] of [
    ["1ms", 1],
    ["500ms", 500],
    ["2147483647ms", 2_147_483_647],
    ["1s", 1_000],
    ["5s", 5_000],
    ["2147483s", 2_147_483_000],
    ["1m", 60_000],
    ["35791m", 2_147_460_000],
    ["0000000001s", 1_000],
  ] as const
) {
  Deno.test(`parseDuration() reads ${text}`, () => assertEquals(parseDuration(text, "timeout"), ms));
}

const NO_DURATIONS = [
  ...["", "5", "ms", "0ms", "0s", "-1s", "+1s", "1.5s", "1e3ms", "5 s", " 5s", "5s ", "5S", "5h", "5sm", "٣s"],
  ...["2147483648ms", "2147484s", "35792m", "00000000001s"],
];

for (const text of NO_DURATIONS) {
  Deno.test(`parseDuration() refuses "${text}", and says what it wants`, () => {
    const wanted = "want a whole number of ms, s or m, such as 500ms, 5s or 2m, at most 35791m";
    const { message } = assertThrows(() => parseDuration(text, "timeout"), UsageError);
    assertEquals(message, `Invalid value "${text}" for --timeout: ${wanted}`);
  });
}

Deno.test("asUsage() gives what the check gives", () => {
  assertEquals(asUsage(() => 5), 5);
});

for (const error of [new TypeError("wrong type"), new RangeError("too large")]) {
  Deno.test(`asUsage() makes a ${error.name} a UsageError`, () => {
    const thrown = assertThrows(() =>
      asUsage(() => {
        throw error;
      }), UsageError);
    assertEquals([thrown.name, thrown.message], ["UsageError", error.message]);
  });
}

Deno.test("asUsage() leaves other errors as they are", () => {
  const error = new Error("no");
  const thrown = assertThrows(() =>
    asUsage(() => {
      throw error;
    })
  );
  assertStrictEquals(thrown, error);
});

function args(values: Args["values"]): Args {
  return { values, lists: {}, switches: new Set(), operands: [] };
}

function urlOf(...argv: string[]): string {
  return brokerUrl(parseCommandLine(argv, URL_FLAGS));
}

Deno.test("brokerUrl() is that of the flag, else of the environment, else the default", () => {
  {
    using _environment = environment({ AMQP_URL: "amqp://environment" });
    assertEquals([urlOf("--url", "amqps://flag"), urlOf()], ["amqps://flag", "amqp://environment"]);
  }
  for (const variables of [{}, { AMQP_URL: "" }]) {
    using _environment = environment(variables);
    assertEquals(urlOf(), DEFAULT_URL);
  }
});

Deno.test("brokerUrl() says what to allow where the environment may not be read", () => {
  using _environment = environment({}, false);
  assertThrows(() => urlOf(), UsageError, "allow it with --allow-env=AMQP_URL");
});

Deno.test("brokerUrl() refuses a password that would pass for the port, and a parameter out of its bounds", () => {
  for (const mark of ["/", "?", "#"]) {
    const error = assertThrows(() => urlOf("--url", `amqp://user:12${mark}hush@host`), UsageError);
    const wanted = 'has a "/", "?", "#" or "@" that must be percent-encoded, as %2F, %3F, %23 or %40';
    assertEquals(error.message, `Cannot connect: URL 1 ${wanted}`);
  }
  assertThrows(() => urlOf("--url", "amqp://host?heartbeat=x"), UsageError, "heartbeat");
});

Deno.test("brokerUrl() takes one flag, not both", () => {
  assertThrows(() => urlOf("--url", "amqp://a", "--url-file", "b"), UsageError, "Give --url or --url-file, not both");
});

for (
  const [url, found] of [
    ["not a URL", "its value is not a URL"],
    ["localhost:5672", "did you mean amqp://localhost:5672?"],
    ["rabbit.example", "did you mean amqp://rabbit.example?"],
    ["localhost:hush@host", "got localhost://"],
    ["http://user:hush@host/path", "got http://host"],
    ["amqpx://user:hush@host", "got amqpx://host"],
    ["xamqp://user:hush@host", "got xamqp://host"],
    ["amqp:///vhost", "got amqp://"],
  ] as const
) {
  Deno.test(`brokerUrl() refuses "${url.replace("hush", "...")}", and shows no password`, () => {
    using _environment = environment({ AMQP_URL: url });
    const byFlag = assertThrows(() => brokerUrl(args({ url })), UsageError).message;
    const byEnvironment = assertThrows(() => urlOf(), UsageError).message;
    const hidden = url.includes("://") ? found : "it does not begin with amqp:// or amqps://";
    const wanted =
      "want amqp://user:password@host:5672/vhost, or amqps:// for TLS, with special characters percent-encoded";
    assertEquals(byFlag, `Invalid value for --url: ${wanted}; ${found}`);
    assertEquals(byEnvironment, `Invalid AMQP_URL in the environment: ${wanted}; ${hidden}`);
  });
}

Deno.test("brokerUrl() does not quote a file or a variable that holds only a password", () => {
  using _environment = environment({ AMQP_URL: "hunter2" });
  // Replaced, because unit tests have no permission to write a file.
  const { readTextFileSync } = Deno;
  Deno.readTextFileSync = () => "hunter2\n";
  try {
    for (const argv of [[], ["--url-file", "url.txt"]]) {
      const { message } = assertThrows(() => urlOf(...argv), UsageError);
      assertMatch(message, /; it does not begin with amqp:\/\/ or amqps:\/\/$/);
      assertFalse(message.includes("hunter2"), message);
    }
  } finally {
    Deno.readTextFileSync = readTextFileSync;
  }
});

const HINT = "; start one with: deno task broker";

for (
  const [url, code, hint] of [
    ["amqp://localhost", "ECONNREFUSED", HINT],
    ["amqp://localhost:5672", "ECONNREFUSED", HINT],
    ["amqp://127.0.0.1:5673", "ECONNREFUSED", `${HINT} --port 5673`],
    ["amqp://127.1.2.3", "ECONNREFUSED", HINT],
    ["amqp://[::1]:7", "ECONNREFUSED", `${HINT} --port 7`],
    ["amqp://localhost.example", "ECONNREFUSED", ""],
    ["amqp://my.localhost", "ECONNREFUSED", ""],
    ["amqp://10.127.0.1", "ECONNREFUSED", ""],
    ["amqp://localhost", "ENOTFOUND", ""],
    ["amqp://localhost", undefined, ""],
  ] as const
) {
  Deno.test(`reportNoBroker() of ${url}, ${code ?? "without cause"}, ${hint === "" ? "has no hint" : `says "${hint}"`}`, () => {
    using log = consoleErrors();
    const error = new RpcError("unavailable", "No broker", code === undefined ? {} : { cause: { code } });
    assertEquals(reportNoBroker(error, url), 3);
    assertEquals(log.lines, [`No broker${hint}`]);
  });
}

Deno.test("reportNoBroker() throws what is no RpcError", () => {
  const error = new Error("no");
  assertStrictEquals(assertThrows(() => reportNoBroker(error, "amqp://localhost")), error);
});

Deno.test("reportNoBroker() with json says it and what to do as JSON, on stdout", () => {
  using errors = consoleErrors();
  const { log } = console;
  const printed: string[] = [];
  console.log = (text: string) => printed.push(text);
  try {
    const error = new RpcError("unavailable", "No broker", {
      outcome: "not_executed",
      cause: { code: "ECONNREFUSED" },
    });
    assertEquals(reportNoBroker(error, "amqp://localhost", true), 3);
  } finally {
    console.log = log;
  }
  const message = `No broker${HINT}`;
  assertEquals(printed.map((line) => JSON.parse(line)), [{
    error: { code: "unavailable", outcome: "not_executed", message },
  }]);
  assertEquals(errors.lines, []);
});

/** What a script does: what it prints, whether it runs, and its exit code. */
async function run(args: () => Args, main: () => Promise<number> = () => Promise.resolve(7), json = false) {
  using errors = consoleErrors();
  const { log } = console;
  const printed: unknown[] = [];
  let ran = false;
  console.log = (text: unknown) => printed.push(text);
  try {
    await runScript(
      "the help",
      () => {
        ran = true;
        return main();
      },
      args,
      json,
    );
    return { printed, errors: errors.lines, ran, code: Deno.exitCode };
  } finally {
    console.log = log;
    Deno.exitCode = 0;
  }
}

Deno.test("runScript() ends with what main gives", async () => {
  assertEquals(await run(() => parse("30")), { printed: [], errors: [], ran: true, code: 7 });
});

for (
  const [argv, printed] of [[["--help"], "the help"], [["--version"], VERSIONS], [
    ["--version", "-h"],
    "the help",
  ]] as const
) {
  Deno.test(`runScript() prints what ${argv.join(" ")} asks for, and does not run`, async () => {
    assertEquals(await run(() => parse(...argv)), { printed: [printed], errors: [], ran: false, code: 0 });
  });
}

Deno.test("runScript() says how to use it, with exit code 2, of a UsageError of either", async () => {
  const wrong = (): never => {
    throw new UsageError("Wrong");
  };
  const early = await run(wrong);
  assertEquals(early, { printed: [], errors: ["Wrong\nTry --help"], ran: false, code: 2 });
  const late = await run(() => parse(), () => Promise.reject(new UsageError("Wrong")));
  assertEquals(late, { ...early, ran: true });
});

Deno.test("runScript() with json says what is wrong as JSON, on stdout", async () => {
  const { printed, errors, code } = await run(() => parse("--nope"), undefined, true);
  const { error } = JSON.parse(String(printed[0]));
  assertEquals([printed.length, error.code, error.outcome, errors, code], [
    1,
    "invalid_argument",
    "not_executed",
    [],
    2,
  ]);
  assertMatch(error.message, /^Unknown flag "--nope"/);
});

Deno.test("runScript() says that the output cannot be written, with exit code 1", async () => {
  const ended = await run(() => parse(), () => Promise.reject(new OutputError(new Error("disk full"))));
  assertEquals([ended.errors, ended.code], [["Cannot write the output: disk full"], 1]);
});

Deno.test("runScript() throws what is no UsageError", async () => {
  const error = new Error("no");
  assertStrictEquals(await assertRejects(() => run(() => parse(), () => Promise.reject(error))), error);
  assertFalse(error instanceof UsageError);
  assert(Deno.exitCode === 0);
});

/** Signals that a test sends, to whoever listens, and what the process would have exited with. */
function signals(): { readonly send: (name: Deno.Signal) => void; readonly exits: number[] } & Disposable {
  const { addSignalListener, exit } = Deno;
  const listeners = new Map<Deno.Signal, () => void>();
  const exits: number[] = [];
  const set = (name: string, value: unknown) => Object.defineProperty(Deno, name, { value, configurable: true });
  set("addSignalListener", (name: Deno.Signal, listener: () => void) => listeners.set(name, listener));
  set("exit", (code: number) => exits.push(code));
  return {
    send: (name) => listeners.get(name)?.(),
    exits,
    [Symbol.dispose]() {
      set("addSignalListener", addSignalListener);
      set("exit", exit);
    },
  };
}

for (const name of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`untilSignal() aborts on ${name}, and leaves the process alive`, () => {
    using _clock = new FakeClock();
    using site = signals();
    const signal = untilSignal();
    assertEquals(signal.aborted, false);
    site.send(name);
    assertEquals([signal.aborted, site.exits], [true, []]);
  });
}

Deno.test("untilSignal() ends the process at once on the other signal", () => {
  using _clock = new FakeClock();
  using site = signals();
  untilSignal();
  site.send("SIGTERM");
  site.send("SIGINT");
  assertEquals(site.exits, [130]);
});

Deno.test("untilSignal() takes the same signal within half a second for one, and later for a second one", () => {
  using clock = new FakeClock();
  using site = signals();
  untilSignal();
  site.send("SIGINT");
  clock.advance(250);
  site.send("SIGINT");
  clock.advance(250);
  site.send("SIGINT");
  assertEquals(site.exits, []);
  clock.advance(1);
  site.send("SIGINT");
  assertEquals(site.exits, [130]);
});
