import { BrokerError } from "./errors.ts";
import type { LeaseWrite } from "./lease-table.ts";
import type {
  HistoryQuery,
  Position,
  Publication,
  PublishOptions,
  Retention,
  SubscribeOptions,
} from "./port.ts";

/** The most entries that one page of history holds, and the default. */
export const PAGE_ENTRIES = 1000;

/** A page ends with the entry that takes its data past this many bytes, so that a page is never a flood. */
export const PAGE_BYTES = 1024 * 1024;

/** The bounds of one `publishAll`. */
export const BATCH_PUBLICATIONS = 1000;
export const BATCH_BYTES = 2 * 1024 * 1024;

export const LEASE_VALUE_BYTES = 64 * 1024;

const CHANNEL_NAME = /^[A-Za-z0-9_.:/=@,+~#-]{1,200}$/;
const MAX_KEY_CHARACTERS = 256;
const MAX_ENTRIES = 1_000_000;
const MAX_AGE_MS = 365 * 24 * 3600 * 1000;
const MAX_OWNER_CHARACTERS = 150;
const TTL_MS = [10, 3_600_000] as const;
const MAX_LINGER_MS = 24 * 3_600_000;

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

/** @throws BrokerError `CHANNEL_INVALID`, `ENTRY_INVALID` */
export function checkNotify(channel: unknown, data: unknown): void {
  checkChannel(channel);
  if (!(data instanceof Uint8Array)) throw new BrokerError("ENTRY_INVALID");
}

/** Whether each publication is valid is for its own outcome. @throws BrokerError `BATCH_INVALID` */
export function checkBatch(publications: readonly Publication[]): void {
  const count = Array.isArray(publications) ? publications.length : 0;
  if (count < 1 || count > BATCH_PUBLICATIONS)
    throw new BrokerError("BATCH_INVALID", `It has ${count} publications.`);
  const bytes = publications.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  if (bytes > BATCH_BYTES) throw new BrokerError("BATCH_INVALID", `It has ${bytes} bytes of data.`);
}

/** @throws BrokerError `CHANNEL_INVALID`, `QUERY_INVALID` */
export function checkSubscribe(channel: unknown, { since }: SubscribeOptions): void {
  checkChannel(channel);
  checkPosition(since, "since");
}

/** @throws BrokerError `CHANNEL_INVALID`, `QUERY_INVALID` */
export function checkHistory(channel: unknown, query: HistoryQuery): void {
  checkChannel(channel);
  const { since, before, backwards, limit } = query;
  if (limit !== undefined && !isCount(limit)) throw new BrokerError("QUERY_INVALID", "limit is none.");
  checkPosition(since, "since");
  checkPosition(before, "before");
  if (backwards ? since !== undefined : before !== undefined)
    throw new BrokerError("QUERY_INVALID", "since is for reading forwards, before for reading backwards.");
}

function checkPosition(position: Position | undefined, name: string): void {
  if (position === undefined) return;
  const { epoch, offset, tag } = position;
  if (typeof epoch !== "string" || !isCount(offset) || typeof tag !== "string")
    throw new BrokerError("QUERY_INVALID", `${name} is no position.`);
}

/** @throws BrokerError `LEASE_INVALID` */
export function checkOwner(owner: unknown, ttlMs?: number): void {
  if (!isChannelName(owner) || owner.length > MAX_OWNER_CHARACTERS)
    throw new BrokerError("LEASE_INVALID", "owner is none.");
  if (ttlMs !== undefined && !isWithin(ttlMs, ...TTL_MS))
    throw new BrokerError("LEASE_INVALID", "ttlMs is none.");
}

/** @throws BrokerError `LEASE_INVALID` */
export function checkLeasePlace(group: unknown, key?: unknown): void {
  if (!isChannelName(group)) throw new BrokerError("LEASE_INVALID", "group is none.");
  if (key !== undefined && !isChannelName(key)) throw new BrokerError("LEASE_INVALID", "key is none.");
}

/** @throws BrokerError `LEASE_INVALID` */
export function checkLeaseWrite({ owner, ttlMs, group, key, value, lingerMs, when }: LeaseWrite): void {
  checkOwner(owner, ttlMs);
  checkLeasePlace(group, key ?? "");
  if (!(value instanceof Uint8Array) || value.length > LEASE_VALUE_BYTES)
    throw new BrokerError("LEASE_INVALID", "value is none.");
  if (!isWithin(lingerMs, 0, MAX_LINGER_MS)) throw new BrokerError("LEASE_INVALID", "lingerMs is none.");
  if (!isCount(when.version)) throw new BrokerError("LEASE_INVALID", "version is none.");
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

function isWithin(value: unknown, least: number, greatest: number): boolean {
  return isCount(value) && value >= least && value <= greatest;
}

function isIdempotencyKey(key: unknown): boolean {
  return typeof key === "string" && key !== "" && key.length <= MAX_KEY_CHARACTERS && key.isWellFormed();
}
