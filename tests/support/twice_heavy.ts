/** A module that imports another one with handlers of its own. */
import { workerHandlers } from "../../lib/worker.ts";
import type { heavy } from "./heavy.ts";
import handlers from "./heavy_handlers.ts";

export default workerHandlers<ReturnType<typeof heavy>>(handlers);
