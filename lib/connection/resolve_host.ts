import { lookup, type LookupAddress } from "node:dns";
import { isIP } from "node:net";
import type { HostAddress, HostAddresses } from "./host_addresses.ts";

/** Options of a socket that say to which addresses of its host it connects. */
export interface AddressOptions {
  readonly lookup?: (name: string, options: { readonly all?: boolean }, done: LookupCallback) => void;
  readonly family?: number;
  readonly autoSelectFamily?: boolean;
}

type LookupCallback = (error: null, address: LookupAddress[] | string, family?: number) => void;

/**
 * All addresses of a host name; none if it is an address itself, or cannot be resolved: then the socket says why.
 *
 * @param port For which port Deno is to permit it; by default it must permit all.
 */
export function resolveHost(hostname: string, port: number): Promise<readonly HostAddress[]> {
  if (isIP(hostname) !== 0) return Promise.resolve([]);
  return new Promise((resolve) => {
    const options = { all: true, port } as const;
    lookup(hostname, options, (error, addresses) => resolve(error === null ? addresses : []));
  });
}

/** Whether this process may connect to an address; Deno permits names and addresses separately. */
function mayConnect({ address, family }: HostAddress, port: number): boolean {
  if (typeof Deno === "undefined") return true;
  const host = family === 6 ? `[${address}]:${port}` : `${address}:${port}`;
  return Deno.permissions.querySync({ name: "net", host }).state === "granted";
}

/**
 * The options that make a socket connect to some addresses of a name that has several. If Deno permits only the name, the
 * socket has to resolve it by itself, and can be told no more than the family. It would also try the next address after
 * one that refuses, but that is an error outside of every callback, which ends the process (Deno 2.9).
 *
 * @param permitted Whether this process may connect to an address.
 */
export function addressOptions(
  wanted: readonly HostAddress[],
  port: number,
  addresses: HostAddresses,
  permitted: typeof mayConnect = mayConnect,
): AddressOptions {
  const [first] = wanted;
  if (first === undefined || addresses.alone) return {};
  if (wanted.every((address) => permitted(address, port))) {
    const list = wanted.map(({ address, family }) => ({ address, family }));
    return {
      lookup: (_name, { all }, done) =>
        queueMicrotask(() => all ? done(null, list) : done(null, first.address, first.family)),
    };
  }
  addresses.narrow(first.family);
  return { family: first.family, autoSelectFamily: false };
}
