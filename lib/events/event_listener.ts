import { anyEnabled, type Interceptor } from "../contract/interceptor.ts";
import { logFault } from "./log_events.ts";

/**
 * Calls a listener. What it throws, or rejects with later, is logged and ignored, so that it cannot close a channel or end
 * the process.
 */
export function emitTo<Event>(listener: (event: Event) => unknown, event: Event): void {
  try {
    const result = listener(event);
    if (typeof result === "object" && result !== null) {
      Promise.resolve(result).catch((error) => logFault("The onEvent listener rejected:", error));
    }
  } catch (error) {
    logFault("The onEvent listener threw:", error);
  }
}

/** Refuses a listener that cannot be called. */
export function checkListener(listener: unknown): void {
  if (typeof listener !== "function") throw new TypeError("Cannot connect: 'onEvent' must be a function of the event");
}

/** Who gets the events of a client or server: the option `onEvent`, else a log, and interceptors. */
export class EventListeners<Event extends { readonly type: string }> {
  readonly #listeners: readonly ((event: Event) => unknown)[];
  readonly #interceptors: readonly Interceptor[];
  readonly #hasOption: boolean;

  /**
   * @param onEvent The option.
   * @param log Gets the events if there is no such option; it ignores those of single calls.
   */
  constructor(
    onEvent: ((event: Event) => unknown) | undefined,
    log: (event: Event) => unknown,
    interceptors: readonly Interceptor[],
  ) {
    this.#hasOption = onEvent !== undefined;
    this.#interceptors = interceptors.filter((interceptor) => interceptor.onEvent !== undefined);
    const others = this.#interceptors.map((interceptor) => (event: Event) => interceptor.onEvent?.(event));
    this.#listeners = [onEvent ?? log, ...others];
  }

  /** Whether anybody wants an event for every call or request; if not, it need not be created. */
  get wantCalls(): boolean {
    return this.#hasOption || anyEnabled(this.#interceptors);
  }

  /** Emits an event to all. */
  emit(event: Event): void {
    for (const listener of this.#listeners) emitTo(listener, event);
  }
}
