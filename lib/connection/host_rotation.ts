import { RpcError } from "../contract/errors.ts";
import { toRpcError } from "./broker_error.ts";
import type { Host } from "./broker_url.ts";

/** The hosts of one cluster, tried in turn, starting after the one that was tried last. */
export class HostRotation {
  readonly #hosts: readonly Host[];
  #next = 0;

  constructor(hosts: readonly Host[]) {
    this.#hosts = hosts;
  }

  /**
   * Tries every address of every host once, until one can be used.
   *
   * @param use Connects to a host.
   * @throws {RpcError} At once if a broker refuses (password, virtual host, TLS); `unavailable` with all reasons if no
   * host can be used.
   */
  async useAny<T>(use: (host: Host) => Promise<T>): Promise<T> {
    const errors: RpcError[] = [];
    for (let tried = 0; tried < this.#hosts.length; tried++) {
      const host = this.#hosts[this.#next++ % this.#hosts.length] as Host;
      const { addresses } = host;
      addresses.begin();
      do {
        try {
          const result = await use(host);
          addresses.succeed();
          return result;
        } catch (error) {
          const rpcError = toRpcError(error, `connect to ${addresses.label}`);
          if (rpcError.code !== "unavailable") throw rpcError;
          errors.push(rpcError);
        }
      } while (addresses.fail());
    }
    const [first] = errors;
    if (errors.length === 1 && first !== undefined) throw first;
    throw new RpcError("unavailable", errors.map((error) => error.message).join("; "), {
      outcome: "not_executed",
      cause: first,
    });
  }
}
