import { BrokerError, type Retention } from "@holdfast/broker";
import { type Bounds, checkRetention, readNumbers, warnOfListener } from "@holdfast/broker/engine";
import type { NatsBrokerEvent } from "./events.ts";

export interface NatsBrokerOptions {
  /** What streams and subjects begin with: 1 to 32 letters, digits, `-` and `_`. Default `holdfast`. */
  readonly prefix?: string;
  /** Streams that the channels are spread over. All nodes must name the same number, and it can't be changed. Default 4. */
  readonly partitions?: number;
  /** Servers that keep each stream: 1, 3 or 5. Default 1. */
  readonly replicas?: number;
  /** Whether streams are kept in files or in memory, when this node makes them. Default `file`. */
  readonly storage?: "file" | "memory";
  /** What is kept of a channel that was published to without a retention of its own. Default 10,000 entries, 1 hour. */
  readonly retention?: Retention;
  /** The largest entry. The server's `max_payload` (default 1 MiB) less 2 KiB bounds it too. Default 1,000,000. */
  readonly maxEntryBytes?: number;
  /** How long a call may take, lost connections included. Past it: `BROKER_UNAVAILABLE`. Default 10 s. */
  readonly requestMs?: number;
  /** How long one request to the server may take before it is made again. Default 3 s. */
  readonly tryMs?: number;
  /** Calls that wait. Past it: `BROKER_UNAVAILABLE` at once. Default 10,000. */
  readonly maxPending?: number;
  /** Bytes of those calls, likewise. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** How long an idempotency key is remembered, when this node makes the streams. Default and least 5 minutes. */
  readonly idempotencyMs?: number;
  /** A channel that was not published to for so long is forgotten, and no retention is longer. Default 7 days. */
  readonly forgetChannelAfterMs?: number;
  /** Bytes that each partition keeps, when this node makes its stream. Past it: `BROKER_FULL`. Default 0: the server's bound. */
  readonly maxStreamBytes?: number;
  /** Past it a new lease is refused with `LEASE_LIMIT`: every node holds them all. Default 200,000. */
  readonly maxLeases?: number;
  /** A ping is sent this often; two without an answer end the connection. Default 5 s. */
  readonly heartbeatMs?: number;
  /** Back-off between attempts to connect. Default 100 ms. */
  readonly backOffMs?: number;
  /** How often it is looked for entries that were stored and not told of. Default 2 s. */
  readonly auditMs?: number;
  /** Channels that are looked at each second for that, at most. Default 200. */
  readonly auditsPerSecond?: number;
  readonly onEvent?: (event: NatsBrokerEvent) => void;
  /** Told what a listener threw. Default: a Node warning. */
  readonly onListenerError?: (error: unknown) => void;
}

const DEFAULTS = {
  partitions: 4,
  replicas: 1,
  maxEntryBytes: 1_000_000,
  requestMs: 10_000,
  tryMs: 3000,
  maxPending: 10_000,
  maxPendingBytes: 64 * 1024 * 1024,
  idempotencyMs: 5 * 60_000,
  forgetChannelAfterMs: 7 * 24 * 3_600_000,
  maxStreamBytes: 0,
  maxLeases: 200_000,
  heartbeatMs: 5000,
  backOffMs: 100,
  auditMs: 2000,
  auditsPerSecond: 200,
};

const BOUNDS: Bounds<typeof DEFAULTS> = {
  partitions: [1, 256],
  replicas: [1, 5],
  maxEntryBytes: [1, 60 * 1024 * 1024],
  requestMs: [1, 600_000],
  tryMs: [10, 60_000],
  maxPending: [1, 1_000_000],
  maxPendingBytes: [1, 2 ** 31],
  idempotencyMs: [5 * 60_000, 24 * 3_600_000],
  forgetChannelAfterMs: [10 * 60_000, 10 * 365 * 24 * 3_600_000],
  maxStreamBytes: [0, 2 ** 50],
  maxLeases: [1, 10_000_000],
  heartbeatMs: [10, 600_000],
  backOffMs: [1, 60_000],
  auditMs: [10, 600_000],
  auditsPerSecond: [1, 100_000],
};

export type Settings = typeof DEFAULTS & Required<Omit<NatsBrokerOptions, keyof typeof DEFAULTS>>;

/** What a connection is made with. */
export interface Target {
  /** `host:port` of one or several servers of a cluster. */
  readonly servers: readonly string[];
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
}

const URL_FORM =
  /^(nats|tls\+nats):\/\/(?:([^@/?#]{1,1000})@)?([A-Za-z0-9.,:[\]-]{1,4000})\/?(?:\?([^#]{0,1000}))?$/;
const PREFIX = /^[A-Za-z0-9_-]{1,32}$/;
const IN_URL = ["prefix", "partitions", "replicas", "storage"];
const RETENTION: Retention = { maxEntries: 10_000, maxAgeMs: 3_600_000 };

/** @throws BrokerError `OPTIONS_INVALID`, `RETENTION_INVALID` */
export function readOptions(options: NatsBrokerOptions): Settings {
  const others = ["prefix", "storage", "retention", "onEvent", "onListenerError"];
  const numbers = readNumbers(options, DEFAULTS, BOUNDS, others);
  const { prefix = "holdfast", storage = "file", retention = RETENTION } = options;
  const { onEvent = () => undefined, onListenerError = warnOfListener } = options;
  if (typeof prefix !== "string" || !PREFIX.test(prefix))
    throw new BrokerError("OPTIONS_INVALID", "prefix is 1 to 32 letters, digits, - and _.");
  if (storage !== "file" && storage !== "memory")
    throw new BrokerError("OPTIONS_INVALID", "storage is file or memory.");
  if (numbers.replicas % 2 === 0) throw new BrokerError("OPTIONS_INVALID", "replicas is 1, 3 or 5.");
  checkRetention(retention);
  return { ...numbers, prefix, storage, retention, onEvent, onListenerError };
}

/**
 * `nats://HOST:PORT`, with several servers separated by commas, `USER:PASSWORD@` or `TOKEN@` before them, and the options
 * `prefix`, `partitions`, `replicas` and `storage` as its query; `tls+nats://` with TLS. The message never holds the URL.
 *
 * @throws BrokerError `BROKER_URL_INVALID`, `OPTIONS_INVALID`
 */
export function readUrl(url: string): { readonly target: Target; readonly options: NatsBrokerOptions } {
  const [, scheme, userinfo, hosts = "", query = ""] = URL_FORM.exec(url) ?? [];
  const servers = hosts.split(",");
  if (!scheme || !servers.every(isServer))
    throw new BrokerError(
      "BROKER_URL_INVALID",
      "For NATS it is nats://[USER:PASSWORD@]HOST[:PORT][,HOST…][?prefix=…&partitions=…&replicas=…&storage=…].",
    );
  const [first, ...rest] = userinfo?.split(":").map(decode) ?? [];
  const password = rest.length > 0 ? rest.join(":") : undefined;
  return {
    target: {
      servers,
      tls: scheme === "tls+nats",
      user: password === undefined ? undefined : first,
      password,
      token: password === undefined ? first : undefined,
    },
    options: readQuery(query),
  };
}

function readQuery(query: string): NatsBrokerOptions {
  const options: { [name: string]: string | number } = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (!IN_URL.includes(name))
      throw new BrokerError("OPTIONS_INVALID", `A URL for NATS takes ${IN_URL.join(", ")}.`);
    options[name] = /^[0-9]{1,9}$/.test(value) && name !== "prefix" ? Number(value) : value;
  }
  return options;
}

function isServer(server: string): boolean {
  const port = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?$/.exec(server);
  return port !== null && (port[1] === undefined || (Number(port[1]) >= 1 && Number(port[1]) <= 65_535));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BrokerError("BROKER_URL_INVALID", "A name or password in it is not well encoded.");
  }
}
