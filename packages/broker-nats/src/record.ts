import type { Entry, Position, Retention } from "@holdfast/broker";
import { isCount } from "@holdfast/broker/engine";

/**
 * What one stream message holds: entries of one channel, one after the other, and all that the next writer must know
 * of the log before them. So the newest record of a subject is the whole state of its channel.
 *
 * The message is a length (two bytes), that many bytes of JSON, and then each entry: four characters of its tag, its
 * length (four bytes), its data.
 */
export interface Record {
  /** Its own name: tells a writer, whose answer was lost, whether the record at a place is the one it wrote. */
  readonly id: string;
  readonly epoch: string;
  /** The offset of its first entry; where it holds none (the first record may), of the entry to come. */
  readonly offset: number;
  /** The tag of the entry before its first one; empty where there is none. */
  readonly before: string;
  /** The stream sequence of the record before this one; 0 where there is none. */
  readonly previous: number;
  /** Milliseconds since 1970 by the server's clock, as its writer knew it, and never less than the record before it. */
  readonly time: number;
  /** The oldest offset that retention by count let anybody see when this was written. */
  readonly first: number;
  readonly retention: Retention | undefined;
  /** Bytes of data in the log up to the end of this record, since its beginning. */
  readonly bytes: number;
  /** Records further back, one for each of `MILESTONES`. */
  readonly milestones: readonly Milestone[];
  /** The ids that the idempotency keys of its entries were claimed with, by their index. */
  readonly claims: readonly (readonly [index: number, id: string])[];
  /** Random characters of each entry's own, and its data. */
  readonly entries: readonly { readonly salt: string; readonly data: Uint8Array }[];
}

/** An earlier record, from which reading can begin. */
export interface Milestone {
  readonly offset: number;
  readonly seq: number;
  /** As the record's own. */
  readonly bytes: number;
}

/** A record, and where it is in the stream. */
export interface StoredRecord extends Record {
  readonly seq: number;
}

/** After how many entries there is another milestone, of each kind. Finding an offset takes 8 steps of each at most. */
export const MILESTONES = [256, 2048, 16_384] as const;

export const SALT_CHARACTERS = 4;

/** Entries that one record holds at most; their places in it are the low digits of `Entry.seq`. */
export const RECORD_ENTRIES = 512;

/** What a record takes beside its entries' data, at most, headers of the message included. */
export const RECORD_BYTES = 2048;
/** What an entry takes in a record beside its data and its claim. */
const ENTRY_BYTES = SALT_CHARACTERS + 4;

const TEXT = /^[A-Za-z0-9_-]{1,64}$/;
const TAG = /^([A-Za-z0-9_-]{4})([0-9a-z]{1,11})$/;
const SALT = /^[A-Za-z0-9_-]{4}$/;

export function encodeRecord(record: Record): Uint8Array {
  const { id, epoch, offset, before, previous, time, first, retention, bytes, milestones } = record;
  const { claims, entries } = record;
  const meta = Buffer.from(
    JSON.stringify({
      v: 1,
      i: id,
      e: epoch,
      o: offset,
      n: entries.length,
      p: before,
      s: previous,
      t: time,
      f: first,
      ...(retention && { r: [retention.maxEntries, retention.maxAgeMs] }),
      b: bytes,
      ...(claims.length > 0 && { c: claims }),
      m: milestones.map((milestone) => [milestone.offset, milestone.seq, milestone.bytes]),
    }),
    "latin1",
  );
  const size = entries.reduce((sum, { data }) => sum + ENTRY_BYTES + data.length, 2 + meta.length);
  const buffer = Buffer.allocUnsafe(size);
  let at = buffer.writeUInt16BE(meta.length);
  at += meta.copy(buffer, at);
  for (const { salt, data } of entries) {
    at += buffer.write(salt, at, "latin1");
    at = buffer.writeUInt32BE(data.length, at);
    buffer.set(data, at);
    at += data.length;
  }
  return buffer;
}

/** @returns undefined when the bytes are no record. Its data is its own, and keeps no larger buffer alive. */
export function decodeRecord(bytes: Uint8Array, seq: number): StoredRecord | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 2) return undefined;
  const start = 2 + buffer.readUInt16BE();
  if (start > buffer.length) return undefined;
  let meta: unknown;
  try {
    meta = JSON.parse(buffer.toString("latin1", 2, start));
  } catch {
    return undefined;
  }
  if (typeof meta !== "object" || meta === null) return undefined;
  const { v, i, e, o, n, p, s, t, f, r, b, c, m } = meta as { readonly [name: string]: unknown };
  const texts = isText(i) && isText(e) && typeof p === "string" && (p === "" || TAG.test(p));
  const counts = isCount(o) && isCount(n) && isCount(s) && isCount(t) && isCount(f) && isCount(b);
  const milestones = readMilestones(m);
  const retention = readRetention(r);
  const claims = readClaims(c);
  if (
    v !== 1 ||
    !texts ||
    !counts ||
    o < 1 ||
    n > RECORD_ENTRIES ||
    !milestones ||
    retention === null ||
    !claims
  )
    return undefined;
  const entries = readEntries(buffer, start, n);
  if (!entries) return undefined;
  return {
    id: i,
    epoch: e,
    offset: o,
    before: p,
    previous: s,
    time: t,
    first: f,
    retention,
    bytes: b,
    milestones,
    claims,
    entries,
    seq,
  };
}

/** Where a record ends. */
export function headOf(record: StoredRecord): Position {
  const { epoch, offset, entries } = record;
  return { epoch, offset: offset + entries.length - 1, tag: tagAt(record, entries.length - 1) };
}

/** The entries of a record, as all nodes deliver them. */
export function entriesOf(record: StoredRecord): Entry[] {
  return record.entries.map(({ data }, index) => ({
    offset: record.offset + index,
    seq: seqAt(record.seq, index),
    tag: tagAt(record, index),
    time: record.time,
    data,
  }));
}

export function seqAt(seq: number, index: number): number {
  return seq * RECORD_ENTRIES + index;
}

/** An entry's tag holds its random characters and the place of its record, so that a position says where to read. */
export function tagAt({ seq, entries, before }: StoredRecord, index: number): string {
  const entry = entries[index];
  return entry ? `${entry.salt}${seq.toString(36)}` : before;
}

/** The stream sequence that a tag names; undefined when it is none of ours. */
export function seqOfTag(tag: string): number | undefined {
  const digits = TAG.exec(tag)?.[2];
  const seq = digits === undefined ? 0 : Number.parseInt(digits, 36);
  return Number.isSafeInteger(seq) && seq > 0 ? seq : undefined;
}

/**
 * Whether two tags are those of one entry, if its offset is one. Their random characters tell: after faults the servers of a cluster may
 * count a stream's messages differently (nats-server before 2.11), and then say different places of one record.
 */
export function isSameTag(one: string, other: string): boolean {
  return one === other || (TAG.test(one) && TAG.exec(one)?.[1] === TAG.exec(other)?.[1]);
}

/** The milestones of the record after this one. */
export function milestonesAfter(record: StoredRecord): readonly Milestone[] {
  const { offset, entries, seq, bytes, milestones } = record;
  const here = { offset, seq, bytes };
  return MILESTONES.map((every, level) => {
    const last = offset + entries.length - 1;
    const passed = Math.floor(last / every) > Math.floor((offset - 1) / every);
    return passed ? here : (milestones[level] ?? here);
  });
}

function isText(value: unknown): value is string {
  return typeof value === "string" && TEXT.test(value);
}

function readMilestones(value: unknown): Milestone[] | undefined {
  if (!Array.isArray(value) || value.length > MILESTONES.length) return undefined;
  const milestones: Milestone[] = [];
  for (const one of value) {
    const [offset, seq, bytes] = Array.isArray(one) ? one : [];
    if (!isCount(offset) || !isCount(seq) || !isCount(bytes)) return undefined;
    milestones.push({ offset, seq, bytes });
  }
  return milestones;
}

function readClaims(value: unknown): Record["claims"] | undefined {
  if (value === undefined) return [];
  if (!Array.isArray(value) || value.length > RECORD_ENTRIES) return undefined;
  const claims: [number, string][] = [];
  for (const one of value) {
    const [index, id] = Array.isArray(one) ? one : [];
    if (!isCount(index) || !isText(id)) return undefined;
    claims.push([index, id]);
  }
  return claims;
}

function readRetention(value: unknown): Retention | undefined | null {
  if (value === undefined) return undefined;
  const [maxEntries, maxAgeMs] = Array.isArray(value) ? value : [];
  return isCount(maxEntries) && isCount(maxAgeMs) ? { maxEntries, maxAgeMs } : null;
}

function readEntries(buffer: Buffer, start: number, count: number): Record["entries"] | undefined {
  const entries: { salt: string; data: Uint8Array }[] = [];
  let at = start;
  for (let n = 0; n < count; n++) {
    const from = at + ENTRY_BYTES;
    if (from > buffer.length) return undefined;
    const salt = buffer.toString("latin1", at, at + SALT_CHARACTERS);
    at = from + buffer.readUInt32BE(at + SALT_CHARACTERS);
    if (at > buffer.length || !SALT.test(salt)) return undefined;
    entries.push({ salt, data: new Uint8Array(buffer.subarray(from, at)) });
  }
  return at === buffer.length ? entries : undefined;
}
