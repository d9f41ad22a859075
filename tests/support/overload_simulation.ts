import { Admission, type Candidate } from "../../lib/server/admission.ts";
import type { Place } from "../../lib/server/blind_shedding.ts";
import { ClockOffsets, isConfirmed } from "../../lib/server/clock_offsets.ts";
import { ROOM } from "../../lib/server/request_intake.ts";
import { ServiceTime } from "../../lib/server/service_time.ts";
import { surplusPrefetch } from "../../lib/server/surplus_consumer.ts";
import { Random } from "./random.ts";

/** What is simulated: one queue, whose broker drops what has expired at its head only, and its servers. */
export interface Simulation {
  /** Calls per ms, after so many ms; the last one stays. */
  readonly load: readonly (readonly [from: number, rate: number])[];
  readonly duration: number;
  /** How long each call may take, in ms. */
  readonly deadline: number;
  /** How long handlers take, in ms, on each server; `dice` is from 0 to 1. */
  readonly servers: readonly ((dice: number) => number)[];
  /** Whether clients send their clocks, and answer when they are asked. */
  readonly clock: boolean;
  /** Whether requests are refused. */
  readonly shedding: boolean;
}

/** What came of it, within a window of time. */
export interface Outcome {
  readonly made: number;
  /** Those of the calls that were made in the window that were answered in time, then or later. */
  readonly madeAndAnswered: number;
  /** Answered in the window, whenever they were made. */
  readonly answered: number;
  readonly refused: number;
  /** The part of the servers' time in which they worked for callers that still waited at the end. */
  readonly goodput: number;
}

/** How long one step takes, in ms; in one step, each server takes at most one request from the queue. */
const STEP = 0.5;
/** The client's clock is hours ahead, and runs faster. */
const timeOf = (now: number): number => Math.floor(7_200_000 + now * 1.0005);

interface Request {
  readonly sentAt: number;
}

/** A request at a server, as `Admission` sees it. */
class Taken implements Candidate {
  readonly expiration: number;
  readonly waited: number;
  readonly clocked: boolean;
  readonly known: boolean;
  readonly likelyEndsAt: number;
  startedAt = 0;
  readonly trueEnd: number;

  constructor({ sentAt }: Request, now: number, deadline: number, server: Server, clock: boolean) {
    this.expiration = deadline;
    this.clocked = clock;
    this.known = clock && server.measure(timeOf(sentAt), now, deadline);
    this.waited = this.known ? server.waited : 0;
    this.likelyEndsAt = now - this.waited + deadline;
    this.trueEnd = sentAt + deadline;
  }
}

class Server {
  readonly clocks = new ClockOffsets();
  readonly service = new ServiceTime();
  readonly admission = new Admission([this.service]);
  readonly held: Taken[] = [];
  /** Of the last request, as far as it is known. */
  waited = 0;
  #askedAt = -Infinity;
  current: { readonly request: Taken; readonly end: number; readonly began: number } | undefined;

  /** Whether a wait is known; asks the client if it is long. */
  measure(time: number, now: number, deadline: number): boolean {
    const clock = this.clocks.measure("client", time, now, deadline, false);
    this.waited = clock.waited;
    const confirmed = isConfirmed(clock, now);
    if (clock.waited > deadline / 4) this.ask(now);
    return confirmed;
  }

  /** The answer comes in the next step. */
  ask(now: number): void {
    if (now - this.#askedAt < 2_000) return;
    this.#askedAt = now;
    this.clocks.confirm("client", timeOf(now + STEP / 2), now, now + STEP);
  }
}

/** Runs a simulation; the same every time. */
export function simulate(plan: Simulation, from = 0, to: number = plan.duration): Outcome {
  const source = new Random(1);
  const random = (): number => source.next();
  const servers = plan.servers.map(() => new Server());
  const queue: Request[] = [];
  let head = 0;
  let due = 0;
  const counts = { made: 0, madeAndAnswered: 0, answered: 0, refused: 0, work: 0 };
  const inWindow = (now: number): boolean => now >= from && now < to;

  function take(now: number, server: Server): Taken | undefined {
    const request = queue[head];
    if (request === undefined) return undefined;
    head++;
    return new Taken(request, now, plan.deadline, server, plan.clock);
  }

  function isRefused(request: Taken, now: number, server: Server, place: Place): boolean {
    if (!plan.shedding || server.admission.judge(request, server.service, now, place) === undefined) return false;
    if (inWindow(now)) counts.refused++;
    return true;
  }

  function end(now: number, server: Server): void {
    const { current } = server;
    if (current === undefined) return;
    const { request, end, began } = current;
    const inTime = end < request.trueEnd;
    if (now < Math.min(end, request.trueEnd)) return;
    server.current = undefined;
    if (inTime && inWindow(request.trueEnd - plan.deadline)) counts.madeAndAnswered++;
    if (inTime && inWindow(now)) {
      counts.answered++;
      counts.work += now - began;
    }
    if (server.admission.ended(request, server.service, now, inTime) && plan.clock) server.ask(now);
  }

  function start(now: number, server: Server, index: number): void {
    while (server.current === undefined) {
      const held = server.held.shift();
      const request = held ?? take(now, server);
      if (request === undefined) return;
      if (isRefused(request, now, server, "handler")) {
        if (held === undefined) return;
        continue;
      }
      request.startedAt = now;
      server.current = { request, began: now, end: now + (plan.servers[index]?.(random()) ?? 0) };
    }
  }

  for (let now = 0; now < plan.duration; now += STEP) {
    const rate = plan.load.findLast(([from]) => from <= now)?.[1] ?? 0;
    if (due < now) due = now;
    while (rate > 0 && due < now + STEP) {
      queue.push({ sentAt: now });
      if (inWindow(now)) counts.made++;
      due -= Math.log(1 - random()) / rate;
    }
    while ((queue[head]?.sentAt ?? Infinity) + plan.deadline <= now) head++;
    for (const [index, server] of servers.entries()) {
      end(now, server);
      start(now, server, index);
      if (server.current === undefined || !server.admission.isPressed(now)) continue;
      while (server.held.length > 0 && isRefused(server.held[0] as Taken, now, server, "handler")) server.held.shift();
      const room = surplusPrefetch(1, server.service.most);
      if (server.held.length >= room) continue;
      const request = take(now, server);
      const place = server.held.length < room * ROOM ? "room" : "full";
      if (request !== undefined && !isRefused(request, now, server, place)) server.held.push(request);
    }
  }
  const { work, ...others } = counts;
  return { ...others, goodput: work / (to - from) / servers.length };
}
