import type { Entry } from "@holdfast/broker";
import { decodePacketEntry, isReplayable, type PacketEntry } from "../cluster/packet-entry.ts";
import type { Room } from "../cluster/room-channel.ts";
import type { MissedEntry } from "./missed.ts";
import { RELEASE_BYTES } from "./outbox.ts";
import { formatPlace, UNSURE } from "./place.ts";
import type { KeptPacket } from "./session.ts";

/** Whether a session that was away is given a packet: as Socket.IO itself decides it. */
export function isForSession(packet: PacketEntry, namespace: string, rooms: ReadonlySet<Room>): boolean {
  return (
    packet.namespace === namespace && isReplayable(packet) && !packet.except.some((room) => rooms.has(room))
  );
}

/** An entry as everybody is given it who missed it. */
interface Replayed {
  /** Undefined for what is unreadable: it was given to nobody. */
  readonly packet: PacketEntry | undefined;
  readonly place: string;
}

/** Those who come back together share the pages of their rooms, so an entry is read once for all of them. */
const replayedEntries = new WeakMap<Entry, Replayed>();

function replayedOf(channel: string, entry: Entry): Replayed {
  const known = replayedEntries.get(entry);
  if (known) return known;
  const read = decodePacketEntry(entry.data);
  const replayed = {
    packet: read.ok ? read.value : undefined,
    place: formatPlace(channel, entry, entry.seq),
  };
  replayedEntries.set(entry, replayed);
  return replayed;
}

/** The message ids among entries: an emit to several rooms has a copy in each of their logs. */
export function messageIds(entries: readonly MissedEntry[]): Set<string> {
  const ids = new Set<string>();
  for (const { channel, entry } of entries) {
    const id = replayedOf(channel, entry).packet?.id;
    if (id !== undefined) ids.add(id);
  }
  return ids;
}

/**
 * What of the missed entries goes to a session.
 *
 * @param inOrder false where what comes before them on other channels may follow them, so that they are no places to
 *   continue from
 */
export function replayOf(
  missed: readonly MissedEntry[],
  namespace: string,
  rooms: ReadonlySet<Room>,
  inOrder: boolean,
): KeptPacket[] {
  const replayed: KeptPacket[] = [];
  for (const { channel, entry } of missed) {
    const { packet, place } = replayedOf(channel, entry);
    if (packet && isForSession(packet, namespace, rooms)) {
      const { offset, seq } = entry;
      replayed.push({ channel, offset, seq, packet, place: inOrder ? place : UNSURE });
    }
  }
  return replayed;
}

/** Without the copies of what a client has, each message once. */
export function eachOnce(packets: readonly KeptPacket[], had: ReadonlySet<string>): KeptPacket[] {
  const given = new Set(had);
  return packets.filter(({ packet: { id } }) => {
    if (id === undefined) return true;
    if (given.has(id)) return false;
    given.add(id);
    return true;
  });
}

/** Packets that are written together, each portion as much as is written at a time. */
export function portionsOf(packets: readonly KeptPacket[]): KeptPacket[][] {
  const portions: KeptPacket[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const one of packets) {
    if (bytes > RELEASE_BYTES) {
      portions.push([]);
      bytes = 0;
    }
    portions.at(-1)?.push(one);
    bytes += one.packet.text.length;
  }
  return portions;
}
