import { z } from "zod";
import { empty, integer, json, method, service } from "../../lib/rpc.ts";

/** The details of an error of `half`. */
export const Missing = z.object({ id: z.number() });

/** A service with three methods. */
export function maths(queue: string) {
  return service({
    queue,
    queueType: "classic",
    methods: {
      double: method({ request: integer(), reply: integer(), idempotent: true }),
      half: method({ request: integer(), reply: integer(), errors: { failed_precondition: json(Missing) } }),
      reset: method({ request: empty(), reply: empty() }),
    },
    default: "double",
  });
}

/** Its handlers. */
export const HANDLERS = {
  double: (n: number) => 2 * n,
  half: (n: number) => n / 2,
  reset: () => {},
};
