import type { MethodInfo } from "../contract/server_info.ts";
import { MethodFigures } from "./method_figures.ts";

/** The figures of one queue that a server serves. */
export class QueueFigures {
  readonly #methods = new Map<string | undefined, MethodFigures>();
  /** Requests for methods that the service does not have. */
  readonly #unknown = new MethodFigures();
  #rejected = 0;

  /** @param methods The methods that are served. */
  constructor(methods: Iterable<string | undefined>) {
    for (const method of methods) this.#methods.set(method, new MethodFigures());
  }

  /** The figures of a method; those of unknown methods are counted together. */
  of(method: string | undefined): MethodFigures {
    return this.#methods.get(method) ?? this.#unknown;
  }

  /** How many requests were rejected because there was no accepted `reply_to`. */
  get rejected(): number {
    return this.#rejected;
  }

  /** A request was rejected. */
  reject(): void {
    this.#rejected++;
  }

  /** The figures of the methods; with those of unknown methods, under no name, if there were requests for any. */
  describe(): MethodInfo[] {
    const methods = Array.from(this.#methods, ([name, figures]) => figures.describe(name));
    const unknown = this.#unknown.describe(undefined);
    return unknown.requests > 0 ? [...methods, unknown] : methods;
  }
}
