import type { Entry, History, HistoryQuery, Position } from "@holdfast/broker";
import { channelMark, type Place } from "./place.ts";
import type { SessionRoom } from "./session-record.ts";

/** Why a session can't be continued. */
export type Refusal =
  /** A log is another one, or was rolled back, or what was missed is no longer kept. */
  | "epoch"
  | "ahead"
  | "tag"
  | "trimmed"
  /** The client's place is in none of the session's rooms. */
  | "place"
  /** More was missed than is read for one client. */
  | "too-many";

export interface MissedEntry {
  readonly channel: string;
  readonly entry: Entry;
}

export interface MissedOptions {
  /** `Hub.read`. */
  readonly read: (channel: string, query: HistoryQuery) => Promise<History>;
  /** The rooms of the session, by channel. */
  readonly rooms: ReadonlyMap<string, SessionRoom>;
  /** Rooms that were left, by channel. */
  readonly left: ReadonlyMap<string, SessionRoom>;
  readonly place: Place;
  /** The entry of each channel that was handed out last when the live ones began to be kept for this session. */
  readonly last: ReadonlyMap<string, Position>;
  /** The greatest `seq` that the node had handed out then. */
  readonly seq: number;
  /** Channels that the node follows only since the client came. */
  readonly fresh: ReadonlySet<string>;
  readonly maxEntries: number;
  readonly maxBytes: number;
}

export type Missed =
  | {
      readonly ok: true;
      /** What was missed up to `upTo`, in the order in which it was published. */
      readonly entries: readonly MissedEntry[];
      /** The newest offset of each channel that the client has, or that is from before it joined. */
      readonly reached: ReadonlyMap<string, number>;
      /** Entries from right before those, which the client has: copies of them are not handed to it again. */
      readonly before: readonly MissedEntry[];
      /** Channels in which nothing was missed, so that they were not read: `before` has nothing of them. */
      readonly unread: readonly string[];
    }
  | { readonly ok: false; readonly reason: Refusal };

interface ChannelPart {
  readonly found: readonly Entry[];
  readonly before: readonly Entry[];
  readonly reached: number;
}

/** The same for everybody, so that clients that come back together share their reads. */
const PAGE = 256;
/** Entries of each channel that are looked at for copies of what was missed. */
const BEFORE = 32;

/** What a session missed, read from the logs of its rooms: all of it, or the reason why not. Rejects as `read` does. */
export async function readMissed(options: MissedOptions): Promise<Missed> {
  const { rooms, place, last } = options;
  for (const [channel, { epoch }] of rooms) {
    if (last.get(channel)?.epoch !== epoch) return { ok: false, reason: "epoch" };
  }
  if (place.type === "entry") {
    const refusal = await checkPlaceElsewhere(options, place);
    if (refusal) return { ok: false, reason: refusal };
  }
  const budget = { entries: options.maxEntries, bytes: options.maxBytes };
  const isQuiet = (channel: string, room: SessionRoom) => hasAll(channel, room, options);
  const unread = [...rooms].filter(([channel, room]) => isQuiet(channel, room)).map(([channel]) => channel);
  const parts = await Promise.all(
    [...rooms]
      .filter(([channel]) => !unread.includes(channel))
      .map(async ([channel, room]) => [channel, await readChannel(channel, room, options, budget)] as const),
  );
  const entries: MissedEntry[] = [];
  const before: MissedEntry[] = [];
  const reached = new Map<string, number>();
  for (const channel of unread) reached.set(channel, last.get(channel)?.offset ?? 0);
  for (const [channel, part] of parts) {
    if (typeof part === "string") return { ok: false, reason: part };
    reached.set(channel, part.reached);
    const upTo = last.get(channel)?.offset ?? 0;
    for (const entry of part.found) if (entry.offset <= upTo) entries.push({ channel, entry });
    for (const entry of part.before) before.push({ channel, entry });
  }
  entries.sort((a, b) => a.entry.seq - b.entry.seq);
  return { ok: true, entries, reached, before, unread };
}

/** The newest entries of a channel that a session has, where {@link readMissed} did not read it. */
export async function readBefore(
  channel: string,
  { read, rooms, last }: MissedOptions,
): Promise<MissedEntry[]> {
  const history = await read(channel, { backwards: true, limit: PAGE });
  const join = rooms.get(channel)?.join.offset ?? 0;
  // What came since is kept for the session, and not had.
  const reached = last.get(channel)?.offset ?? 0;
  const entries = history.type === "page" ? history.entries : [];
  return entries
    .filter(({ offset }) => offset > join && offset <= reached)
    .map((entry) => ({ channel, entry }));
}

/** Whether the entry that the node handed out last is one that the client has, or from before it joined. */
function hasAll(channel: string, room: SessionRoom, { last, place, seq, fresh }: MissedOptions): boolean {
  const newest = last.get(channel);
  if (newest?.epoch !== room.epoch) return false;
  const isNewest = (mark: { offset: number; tag: string } | undefined) => mark && isAt(newest, mark);
  if (place.type === "start") return isNewest(room.join) === true;
  // A client that is ahead of this node has what this node did not hand out yet.
  if (place.seq > seq && !fresh.has(channel)) return false;
  if (place.mark === channelMark(channel)) return isAt(newest, place);
  return isNewest(room.join) === true || (isNewest(room.seen) === true && (room.seen?.seq ?? 0) <= place.seq);
}

/** A place in a room that the session has left is checked against that room's log; in none of its rooms, it is refused. */
async function checkPlaceElsewhere(
  { read, rooms, left }: MissedOptions,
  place: Extract<Place, { type: "entry" }>,
): Promise<Refusal | undefined> {
  for (const channel of rooms.keys()) if (channelMark(channel) === place.mark) return undefined;
  for (const [channel, { epoch }] of left) {
    if (channelMark(channel) !== place.mark) continue;
    const { offset, tag } = place;
    const history = await read(channel, { since: { epoch, offset, tag }, limit: 1 });
    if (history.type === "page") return undefined;
    return history.head.epoch === epoch && isAt(history.head, place) ? undefined : history.reason;
  }
  return "place";
}

/**
 * One channel, backwards from its head until what the client has. Beside the bound itself it looks at the entry that
 * the client's place names, so that a log which was rolled back and written on is not taken for the one that the client
 * has seen.
 */
async function readChannel(
  channel: string,
  room: SessionRoom,
  { read, place }: MissedOptions,
  budget: { entries: number; bytes: number },
): Promise<ChannelPart | Refusal> {
  const { epoch, join, seen } = room;
  const seq = place.type === "entry" ? place.seq : 0;
  const here = place.type === "entry" && place.mark === channelMark(channel) ? place : undefined;
  // Where the log must be looked at for its being the one that the client, or the old node, has seen.
  const witness = Math.min(
    here?.offset ?? Number.POSITIVE_INFINITY,
    join.seq >= seq ? join.offset : Infinity,
  );

  const found: Entry[] = [];
  const before: Entry[] = [];
  let from: Position | undefined;
  let reached: number | undefined;
  let isDone = false;
  let lowest = Number.POSITIVE_INFINITY;
  while (!isDone) {
    const history = await read(channel, { backwards: true, limit: PAGE, ...(from && { before: from }) });
    const { head } = history;
    if (head.epoch !== epoch) return "epoch";
    if (history.type === "unrecoverable") return history.reason;
    if (!from) {
      lowest = head.offset + 1;
      if ([join, here, seen].some((mark) => mark && mark.offset > head.offset)) return "ahead";
      if ([join, here, seen].some((mark) => mark?.offset === head.offset && mark.tag !== head.tag))
        return "tag";
    }
    for (const entry of history.entries) {
      if (entry.offset >= lowest) continue;
      lowest = entry.offset;
      if ([join, here, seen].some((mark) => mark?.offset === entry.offset && mark.tag !== entry.tag))
        return "tag";
      if (entry.offset <= join.offset || entry.seq <= seq) {
        reached ??= entry.offset;
        if (entry.offset > join.offset) before.push(entry);
      } else {
        // In the order of offsets seq only grows; where it does not, this is not the log that the place is of.
        if (reached !== undefined) return "ahead";
        found.push(entry);
        budget.bytes -= entry.data.length;
        if (--budget.entries < 0 || budget.bytes < 0) return "too-many";
      }
    }
    if (lowest === 1) reached ??= 0;
    const enough = reached === undefined ? 0 : Math.min(witness, Math.max(join.offset, reached - BEFORE));
    isDone = lowest <= Math.max(1, enough);
    const last = history.entries.at(-1);
    if (!last && !isDone) {
      // The entry before the oldest that is kept: the client has it for certain, or nobody knows.
      const gone = lowest - 1;
      const isKnown =
        reached !== undefined ||
        gone <= join.offset ||
        (here && here.offset >= gone) ||
        (seen && seen.offset >= gone && seen.seq <= seq) ||
        (found.length === 0 && history.seq <= seq);
      if (!isKnown) return "trimmed";
      reached ??= gone;
      isDone = true;
    }
    if (last) from = { epoch, offset: last.offset, tag: last.tag };
  }
  reached ??= 0;
  // The client's place is an entry at or below what it has; above, the log was written anew.
  if (here && reached < here.offset) return "ahead";
  return { found: found.reverse(), before, reached };
}

function isAt(head: Position, { offset, tag }: { readonly offset: number; readonly tag: string }): boolean {
  return head.offset === offset && head.tag === tag;
}
