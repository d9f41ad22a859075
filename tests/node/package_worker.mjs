/** The module of handlers that `package.mjs` serves in a process of its own. */
import { workerHandlers } from "@rabbitmq-rpc/rpc/worker";

export default workerHandlers((n) => 3 * n);
