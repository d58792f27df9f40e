import type { Entry } from "@holdfast/broker";
import { decodePacketEntry } from "./cluster/packet-entry.ts";
import { UNREADABLE } from "./wire.ts";

/** The arguments of `holdfast:entry`. */
export type EntryArguments = [channel: string, offset: number, tag: string, event: string, data: unknown];

/**
 * An entry as it goes to subscribers: an event of several arguments comes with the array of them. One whose bytes are no message keeps its place, without content: left out, it
 * would look like a loss to every client, for ever.
 */
export function entryArguments(
  channel: string,
  entry: Entry,
  onUnreadable: (reason: string) => void,
): EntryArguments {
  const decoded = decodePacketEntry(entry.data);
  if (!decoded.ok) {
    onUnreadable(decoded.reason);
    return [channel, entry.offset, entry.tag, UNREADABLE, null];
  }
  const [event, ...args] = decoded.value.data;
  const data = args.length > 1 ? args : (args[0] ?? null);
  return [channel, entry.offset, entry.tag, String(event), data];
}

/** About the bytes of an entry on the wire. */
export function entrySize(channel: string, entry: Entry): number {
  return entry.data.length + channel.length + 64;
}
