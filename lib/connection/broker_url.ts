import process from "node:process";
import type { Options } from "amqplib";
import { checkInteger } from "../contract/validate.ts";
import { HostAddresses } from "./host_addresses.ts";

/** One host to connect to. */
export interface Host {
  /** The host as it is shown: `host:port`, without the password. */
  readonly label: string;
  /** The virtual host, decoded. */
  readonly vhost: string;
  /** Seconds; 0 for none. */
  readonly heartbeat: number;
  readonly connect: Options.Connect;
  readonly external: boolean;
  /** What is known about the addresses of its name. */
  readonly addresses: HostAddresses;
}

/** The broker's URL if neither an argument nor the environment names one. */
export const DEFAULT_URL = "amqp://guest:guest@localhost:5672";

/**
 * The broker's URL that the environment names, else the default.
 *
 * @throws {TypeError} If the environment may not be read.
 */
export function defaultUrl(): string {
  let url: string | undefined;
  try {
    url = process.env["AMQP_URL"];
  } catch (cause) {
    // To connect to localhost instead would hide that AMQP_URL is not used.
    const text = "Cannot connect: no URL was given, and AMQP_URL may not be read from the environment; " +
      "give a URL, or allow it with --allow-env=AMQP_URL";
    throw new TypeError(text, { cause });
  }
  return url || DEFAULT_URL;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function parameter(params: URLSearchParams, name: string, fallback: number, min: number, max: number): number {
  const text = params.get(name);
  if (text === null) return fallback;
  checkInteger(/^\d+$/.test(text) ? Number(text) : NaN, name, "connect", min, max);
  return Number(text);
}

/** The URL is never quoted, since it may hold a password. */
function parseHost(url: unknown, index: number, heartbeat: number): Host {
  const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^amqps?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new TypeError(
      `Cannot connect: URL ${index + 1} must look like amqp://user:password@host:5672/vhost, or amqps:// for TLS`,
    );
  }
  const { hostname, username, password, searchParams, pathname, search, hash } = parsed;
  // A password with a "/", "?" or "#" that is not encoded ends the host: a part of the password would pass for the port.
  if (pathname.includes("@") || search.includes("@") || hash !== "") {
    throw new TypeError(
      `Cannot connect: URL ${index + 1} has a "/", "?", "#" or "@" that must be percent-encoded, ` +
        "as %2F, %3F, %23 or %40",
    );
  }
  const protocol = parsed.protocol.slice(0, -1);
  const port = parsed.port === "" ? (protocol === "amqps" ? 5671 : 5672) : Number(parsed.port);
  const seconds = parameter(searchParams, "heartbeat", heartbeat, 0, 65_535);
  const anonymous = username === "" && password === "";
  const label = `${hostname}:${port}`;
  return {
    label,
    vhost: decode(pathname.slice(1)) || "/",
    heartbeat: seconds,
    external: searchParams.get("auth_mechanism")?.toLowerCase() === "external",
    addresses: new HostAddresses(label),
    connect: {
      protocol,
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port,
      username: anonymous ? "guest" : decode(username),
      password: anonymous ? "guest" : decode(password),
      vhost: pathname.slice(1),
      heartbeat: seconds,
      frameMax: parameter(searchParams, "frame_max", 131_072, 4_096, 4_294_967_295),
    },
  };
}

/**
 * The hosts of one cluster, in the order given.
 *
 * @throws {TypeError} If a URL is not an AMQP URL; the text never holds the URL.
 * @throws {RangeError} If a parameter of a URL is out of its bounds.
 */
export function parseHosts(urls: string | readonly string[] | undefined, heartbeat: number = 10): readonly Host[] {
  const list: unknown = typeof urls === "string" ? [urls] : urls ?? [defaultUrl()];
  if (!Array.isArray(list)) throw new TypeError("Cannot connect: 'urls' must be a URL or a list of URLs");
  if (list.length === 0) throw new TypeError("Cannot connect: the list of URLs is empty");
  return list.map((url, index) => parseHost(url, index, heartbeat));
}
