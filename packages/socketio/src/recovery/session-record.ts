import type { Position } from "@holdfast/broker";
import type { Room } from "../cluster/room-channel.ts";

/** A point in a channel's log, and what the node had handed out of all channels then. */
export interface Mark {
  readonly offset: number;
  readonly tag: string;
  readonly seq: number;
}

/** A socket's membership of a room. */
export interface SessionRoom {
  /** `null`: everybody in the namespace. */
  readonly room: Room | null;
  /** The epoch of the room's channel. */
  readonly epoch: string;
  /** The entries after this one are for the socket. */
  readonly join: Mark;
  /**
   * An entry of the room that was handed to the socket, and the newest one for a long time: a client whose place is
   * not below its `seq` has all entries up to it, also when the log does not show them any more.
   */
  readonly seen?: Mark;
}

/** What a node needs to know of a socket in order to go on with it: nothing of it is in the old node's memory alone. */
export interface SessionRecord {
  readonly namespace: string;
  readonly sid: string;
  readonly pid: string;
  readonly rooms: readonly SessionRoom[];
  /** Rooms that it left, oldest first: the client's place may be in one of them. */
  readonly left: readonly SessionRoom[];
  /** `socket.data`, as far as JSON holds it. */
  readonly data: unknown;
}

/** The most bytes of a record; what is more makes a session one that can't be recovered. */
export const RECORD_BYTES = 64 * 1024;
/** Rooms that a record remembers after they were left. */
export const LEFT_ROOMS = 32;

const VERSION = 1;
const ID = /^[\w-]{20}$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whether it has the form of the ids that Socket.IO makes: 20 characters, 120 random bits. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}

/**
 * A record's bytes; undefined where they are more than {@link RECORD_BYTES}.
 *
 * @param data `socket.data` as JSON text
 */
export function encodeSessionRecord(
  record: Omit<SessionRecord, "data">,
  data: string,
): Uint8Array | undefined {
  const { namespace, sid, pid, rooms, left } = record;
  const head = JSON.stringify([VERSION, namespace, sid, pid, rooms.map(pack), left.map(pack)]);
  const bytes = Buffer.from(`${head.slice(0, -1)},${data}]`, "utf8");
  return bytes.length > RECORD_BYTES ? undefined : bytes;
}

/** Reads a record, which may be anything: another program can write to the same broker. Never throws. */
export function decodeSessionRecord(bytes: Uint8Array): SessionRecord | undefined {
  if (bytes.length > RECORD_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch {
    return undefined;
  }
  if (!Array.isArray(value) || value.length !== 7) return undefined;
  const [version, namespace, sid, pid, packedRooms, packedLeft, data] = value;
  if (version !== VERSION || typeof namespace !== "string" || !isId(sid) || !isId(pid)) return undefined;
  const [rooms, left] = [unpackAll(packedRooms), unpackAll(packedLeft)];
  return rooms && left && { namespace, sid, pid, rooms, left, data };
}

export function markOf(position: Position, seq: number): Mark {
  return { offset: position.offset, tag: position.tag, seq };
}

function pack({ room, epoch, join, seen }: SessionRoom): unknown[] {
  const packed = [room, epoch, join.offset, join.tag, join.seq];
  return seen ? [...packed, seen.offset, seen.tag, seen.seq] : packed;
}

function unpackAll(value: unknown): SessionRoom[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const rooms = value.map(unpack);
  return rooms.includes(undefined) ? undefined : (rooms as SessionRoom[]);
}

function unpack(value: unknown): SessionRoom | undefined {
  if (!Array.isArray(value) || (value.length !== 5 && value.length !== 8)) return undefined;
  const [room, epoch] = value;
  // Programs use numbers for rooms, too.
  if (room !== null && typeof room !== "string" && typeof room !== "number") return undefined;
  if (typeof epoch !== "string" || epoch === "") return undefined;
  const join = readMark(value, 2);
  if (!join) return undefined;
  if (value.length === 5) return { room: room as Room | null, epoch, join };
  const seen = readMark(value, 5);
  return seen && { room: room as Room | null, epoch, join, seen };
}

function readMark(value: readonly unknown[], from: number): Mark | undefined {
  const [offset, tag, seq] = value.slice(from);
  if (!isCount(offset) || typeof tag !== "string" || !isCount(seq)) return undefined;
  return { offset, tag, seq };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
