import { BrokerError, type Retention } from "@holdfast/broker";
import { type Bounds, checkRetention, readNumbers, warnOfListener } from "@holdfast/broker/engine";
import type { RedisBrokerEvent } from "./events.ts";

export interface RedisBrokerOptions {
  /** What all keys begin with, so that several systems can share a server. 1 to 50 letters, digits, `-` and `_`. Default `holdfast`. */
  readonly prefix?: string;
  /** What is kept of a channel that was published to without a retention of its own. Default 10,000 entries, 1 hour. */
  readonly retention?: Retention;
  /** The largest entry. Default 1 MiB. */
  readonly maxEntryBytes?: number;
  /** How long an idempotency key is remembered. Default and least 5 minutes. */
  readonly idempotencyMs?: number;
  /** A channel is forgotten after this long without a publish and without subscribers. Default 7 days. */
  readonly forgetChannelAfterMs?: number;
  /** Default 1,000,000. Past it a new one is refused with `LEASE_LIMIT`. */
  readonly maxLeases?: number;
  /** How long a call may take, lost connections included. Past it: `BROKER_UNAVAILABLE`. Default 10 s. */
  readonly requestMs?: number;
  /** Bytes of calls that wait for their answer. Past it: `BROKER_UNAVAILABLE` at once. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /** Back-off between attempts to connect: a random part of this, doubled each time. Default 50 ms. */
  readonly minBackOffMs?: number;
  /** Up to this. Default 2 s. */
  readonly maxBackOffMs?: number;
  /** How often the way from a command to the subscribers' connection is tried, and silent connections are pinged. Default 2 s. */
  readonly heartbeatMs?: number;
  /** A connection on which nothing came for so long is given up. Default 6 s. */
  readonly deadAfterMs?: number;
  /** How often the heads of all followed channels are compared with the log. Default 5 minutes. */
  readonly checkMs?: number;
  /**
   * For `rediss`: certificates (PEM) of the authorities that sign the servers'. Default: those that Node trusts, to which
   * `NODE_EXTRA_CA_CERTS` adds.
   */
  readonly ca?: string;
  readonly onEvent?: (event: RedisBrokerEvent) => void;
  /** Told what a listener threw. Default: a Node warning. */
  readonly onListenerError?: (error: unknown) => void;
}

const DEFAULTS = {
  maxEntryBytes: 1024 * 1024,
  idempotencyMs: 5 * 60_000,
  forgetChannelAfterMs: 7 * 24 * 3_600_000,
  maxLeases: 1_000_000,
  requestMs: 10_000,
  maxPendingBytes: 64 * 1024 * 1024,
  minBackOffMs: 50,
  maxBackOffMs: 2000,
  heartbeatMs: 2000,
  deadAfterMs: 6000,
  checkMs: 5 * 60_000,
};

const BOUNDS: Bounds<typeof DEFAULTS> = {
  maxEntryBytes: [1, 64 * 1024 * 1024],
  idempotencyMs: [5 * 60_000, 24 * 3_600_000],
  forgetChannelAfterMs: [60_000, 365 * 24 * 3_600_000],
  maxLeases: [1, 100_000_000],
  requestMs: [1, 600_000],
  maxPendingBytes: [1, 2 ** 31],
  minBackOffMs: [1, 60_000],
  maxBackOffMs: [1, 600_000],
  heartbeatMs: [10, 600_000],
  deadAfterMs: [20, 600_000],
  checkMs: [100, 24 * 3_600_000],
};

const RETENTION: Retention = { maxEntries: 10_000, maxAgeMs: 3_600_000 };

export type RedisSettings = typeof DEFAULTS & {
  readonly prefix: string;
  readonly maxEntries: number;
  readonly maxAgeMs: number;
  readonly ca: string | undefined;
  readonly onEvent: (event: RedisBrokerEvent) => void;
  readonly onListenerError: (error: unknown) => void;
};

/** @throws BrokerError `OPTIONS_INVALID`, `RETENTION_INVALID` */
export function readOptions(options: RedisBrokerOptions): RedisSettings {
  const { prefix = "holdfast", retention = RETENTION, onListenerError = warnOfListener } = options;
  const { ca, onEvent = () => undefined } = options;
  const others = ["prefix", "retention", "ca", "onEvent", "onListenerError"];
  const numbers = readNumbers(options, DEFAULTS, BOUNDS, others);
  if (!/^[A-Za-z0-9_-]{1,50}$/.test(prefix))
    throw new BrokerError("OPTIONS_INVALID", "prefix is 1 to 50 letters, digits, - and _.");
  if (ca !== undefined && !(typeof ca === "string" && ca.includes("-----BEGIN CERTIFICATE-----")))
    throw new BrokerError("OPTIONS_INVALID", "ca is one or several certificates in PEM.");
  checkRetention(retention);
  return { ...numbers, prefix, ...retention, ca, onEvent, onListenerError };
}
