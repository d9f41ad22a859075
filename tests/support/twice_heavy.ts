/** A module that imports another one with handlers of its own. */
import { workerHandlers } from "../../lib/worker.ts";
import type { heavy } from "./heavy.ts";
import handlers from "./heavy_handlers.ts";

// Long enough for the server to be told of the first handlers, were it told before this module is evaluated.
const end = performance.now() + 300;
while (performance.now() < end);

export default workerHandlers<ReturnType<typeof heavy>>(handlers);
