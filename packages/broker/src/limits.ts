import { BrokerError } from "./errors.ts";
import type { HistoryQuery, PublishOptions, Retention } from "./port.ts";

/** The most entries that one page of history holds, and the default. */
export const PAGE_ENTRIES = 1000;

/** A page ends with the entry that takes its data past this many bytes, so that a page is never a flood. */
export const PAGE_BYTES = 1024 * 1024;

const CHANNEL_NAME = /^[A-Za-z0-9_.:/=@,+~#-]{1,200}$/;
const MAX_KEY_CHARACTERS = 256;
const MAX_ENTRIES = 1_000_000;
const MAX_AGE_MS = 365 * 24 * 3600 * 1000;

/** 1 to 200 characters of letters, digits and `_ - . : / = @ , + ~ #`. */
export function isChannelName(name: unknown): name is string {
  return typeof name === "string" && CHANNEL_NAME.test(name);
}

/** @throws BrokerError `CHANNEL_INVALID` */
export function checkChannel(name: unknown): void {
  if (!isChannelName(name)) throw new BrokerError("CHANNEL_INVALID");
}

/** @throws BrokerError `CHANNEL_INVALID`, `ENTRY_INVALID`, `IDEMPOTENCY_KEY_INVALID`, `RETENTION_INVALID` */
export function checkPublish(channel: unknown, data: unknown, options: PublishOptions): void {
  checkChannel(channel);
  if (!(data instanceof Uint8Array)) throw new BrokerError("ENTRY_INVALID");
  const { idempotencyKey: key, retention } = options;
  if (key !== undefined && !isIdempotencyKey(key)) throw new BrokerError("IDEMPOTENCY_KEY_INVALID");
  if (retention !== undefined) checkRetention(retention);
}

/** @throws BrokerError `CHANNEL_INVALID`, `QUERY_INVALID` */
export function checkHistory(channel: unknown, query: HistoryQuery): void {
  checkChannel(channel);
  const { since, limit } = query;
  if (limit !== undefined && !isCount(limit)) throw new BrokerError("QUERY_INVALID", "limit is none.");
  if (since === undefined) return;
  const valid = typeof since.epoch === "string" && isCount(since.offset) && typeof since.tag === "string";
  if (!valid) throw new BrokerError("QUERY_INVALID", "since is no position.");
}

/** @throws BrokerError `RETENTION_INVALID` */
export function checkRetention({ maxEntries, maxAgeMs }: Retention): void {
  const valid = isCount(maxEntries) && maxEntries >= 1 && maxEntries <= MAX_ENTRIES;
  if (!valid || !isCount(maxAgeMs) || maxAgeMs < 1 || maxAgeMs > MAX_AGE_MS)
    throw new BrokerError("RETENTION_INVALID");
}

/** A whole number from 0 that JavaScript holds exactly. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isIdempotencyKey(key: unknown): boolean {
  return typeof key === "string" && key !== "" && key.length <= MAX_KEY_CHARACTERS && key.isWellFormed();
}
