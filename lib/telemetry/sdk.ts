import {
  createNoopMeter,
  type Meter,
  type MeterProvider,
  metrics,
  ProxyTracerProvider,
  trace,
  type Tracer,
  type TracerProvider,
} from "@opentelemetry/api";
import { VERSION } from "../contract/version.ts";
import { Instruments } from "./instruments.ts";

const NAME = "@rabbitmq-rpc/rpc";
const NO_METER = createNoopMeter();
const NO_TRACERS = new ProxyTracerProvider().getDelegate();

let tracers: TracerProvider | undefined;
let currentTracer: Tracer | undefined;
let meters: MeterProvider | undefined;
let currentInstruments: Instruments | undefined;

function tracerProvider(): TracerProvider {
  const provider = trace.getTracerProvider();
  return provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
}

function meter(): Meter {
  return metrics.getMeter(NAME, VERSION);
}

// The API is pinned to 1.9: a copy of it accepts what a copy of the same or a later minor version has registered.

/**
 * Whether an SDK for traces or metrics is registered, such as Deno's own. Asked for every call, since one may be
 * registered later; takes about 20 ns.
 */
export function isOn(): boolean {
  return tracerProvider() !== NO_TRACERS || meter() !== NO_METER;
}

/** The tracer of the SDK that is registered now. */
export function tracer(): Tracer {
  const provider = tracerProvider();
  if (currentTracer === undefined || tracers !== provider) {
    tracers = provider;
    currentTracer = provider.getTracer(NAME, VERSION);
  }
  return currentTracer;
}

/** The instruments of the SDK that is registered now. */
export function instruments(): Instruments {
  const provider = metrics.getMeterProvider();
  if (currentInstruments === undefined || meters !== provider) {
    meters = provider;
    currentInstruments = new Instruments(meter());
  }
  return currentInstruments;
}
