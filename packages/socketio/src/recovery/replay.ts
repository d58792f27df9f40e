import { decodePacketEntry, isReplayable, type PacketEntry } from "../cluster/packet-entry.ts";
import type { Room } from "../cluster/room-channel.ts";
import type { MissedEntry } from "./missed.ts";
import { formatPlace } from "./place.ts";
import type { KeptPacket } from "./session.ts";

/** Whether a session that was away is given a packet: as Socket.IO itself decides it. */
export function isForSession(packet: PacketEntry, namespace: string, rooms: ReadonlySet<Room>): boolean {
  return (
    packet.namespace === namespace && isReplayable(packet) && !packet.except.some((room) => rooms.has(room))
  );
}

/** The message ids among entries: an emit to several rooms has a copy in each of their logs. */
export function messageIds(entries: readonly MissedEntry[]): Set<string> {
  const ids = new Set<string>();
  for (const { entry } of entries) {
    const read = decodePacketEntry(entry.data);
    if (read.ok && read.value.id !== undefined) ids.add(read.value.id);
  }
  return ids;
}

/** What of the missed entries goes to a session. */
export function replayOf(
  missed: readonly MissedEntry[],
  namespace: string,
  rooms: ReadonlySet<Room>,
): KeptPacket[] {
  const replayed: KeptPacket[] = [];
  for (const { channel, entry } of missed) {
    const read = decodePacketEntry(entry.data);
    // What is unreadable was given to nobody.
    if (!read.ok || !isForSession(read.value, namespace, rooms)) continue;
    const place = formatPlace(channel, entry, entry.seq);
    replayed.push({ channel, offset: entry.offset, packet: read.value, place });
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
