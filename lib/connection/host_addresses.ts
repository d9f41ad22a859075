/** One address of a host name. */
export interface HostAddress {
  readonly address: string;
  /** 4 or 6. */
  readonly family: number;
}

/** At most this many attempts are made at one name in a row. */
const MAX_ATTEMPTS = 16;

/**
 * Which addresses of one host name are tried. An address may accept the connection and then say nothing: it is then
 * avoided, as long as there are others. The name is resolved anew before each attempt, since it may move.
 */
export class HostAddresses {
  readonly #label: string;
  /** What the name was resolved to last; empty if the host is an address. */
  #resolved: readonly HostAddress[] = [];
  /** Those that failed after they were connected, and were not used since. */
  readonly #failed = new Set<string>();
  /** Those that were tried since {@linkcode HostAddresses.begin}. */
  readonly #tried = new Set<string>();
  #attempts = 0;
  /** Those of the attempt under way. */
  #wanted: readonly HostAddress[] = [];
  #narrowed = false;
  #connected: string | undefined;

  /** @param label The host, `name:port`. */
  constructor(label: string) {
    this.#label = label;
  }

  /** From now on, all addresses may be tried, those first that have not failed. */
  begin(): void {
    this.#tried.clear();
    this.#attempts = 0;
  }

  /** Starts an attempt at a name with these addresses, and returns those that are to be tried. */
  attempt(resolved: readonly HostAddress[]): readonly HostAddress[] {
    this.#attempts++;
    this.#resolved = resolved;
    this.#narrowed = false;
    this.#connected = undefined;
    const untried = resolved.filter(({ address }) => !this.#tried.has(address));
    const fresh = untried.filter(({ address }) => !this.#failed.has(address));
    this.#wanted = [fresh, untried].find(({ length }) => length > 0) ?? resolved;
    return this.#wanted;
  }

  /** The socket is given the name, and connects to one of the addresses of this family; another attempt does the same. */
  narrow(family: number): void {
    this.#wanted = this.#resolved.filter((address) => address.family === family);
    this.#narrowed = true;
  }

  /** An address has accepted the connection. */
  connected(address: string): void {
    this.#connected = address;
  }

  /** Whether the name has no second address. */
  get alone(): boolean {
    return this.#resolved.length < 2;
  }

  /** The host as it is shown, with the address that has accepted the connection if its name has several. */
  get label(): string {
    return this.#connected === undefined || this.alone ? this.#label : `${this.#label} (${this.#connected})`;
  }

  /** The attempt has failed; returns whether another one should follow. */
  fail(): boolean {
    if (this.#connected !== undefined) {
      this.#tried.add(this.#connected);
      this.#failed.add(this.#connected);
    }
    if (this.#connected === undefined || this.#narrowed) {
      for (const { address } of this.#wanted) this.#tried.add(address);
    }
    const addresses = new Set(this.#resolved.map(({ address }) => address));
    for (const failed of this.#failed) if (!addresses.has(failed)) this.#failed.delete(failed);
    return this.#attempts < MAX_ATTEMPTS && this.#resolved.some(({ address }) => !this.#tried.has(address));
  }

  /** The attempt has succeeded. */
  succeed(): void {
    if (this.#connected !== undefined) this.#failed.delete(this.#connected);
  }
}
