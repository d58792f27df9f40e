import type { Entry } from "@holdfast/broker";
import { decodePacketEntry } from "./cluster/packet-entry.ts";
import { UNREADABLE } from "./wire.ts";

/** The arguments of `holdfast:entry`. */
export type EntryArguments = [channel: string, offset: number, tag: string, event: string, data: unknown];

/**
 * An entry as it goes to subscribers: an event of several arguments comes with the array of them. One whose bytes are no
 * message keeps its place, without content: left out, it would look like a loss to every client, for ever.
 */
export function entryArguments(
  channel: string,
  entry: Entry,
  onUnreadable: (reason: string) => void,
): EntryArguments {
  const message = readMessage(entry.data);
  if (typeof message !== "string") return [channel, entry.offset, entry.tag, ...message];
  onUnreadable(message);
  return [channel, entry.offset, entry.tag, UNREADABLE, null];
}

/** The arguments of `holdfast:volatile`; undefined where the bytes are no message: it has no place to keep. */
export function volatileArguments(
  channel: string,
  data: Uint8Array,
): [channel: string, event: string, data: unknown] | undefined {
  const message = readMessage(data);
  return typeof message === "string" ? undefined : [channel, ...message];
}

/** @returns or why the bytes are no message */
function readMessage(bytes: Uint8Array): [event: string, data: unknown] | string {
  const decoded = decodePacketEntry(bytes);
  if (!decoded.ok) return decoded.reason;
  const [event, ...args] = decoded.value.data;
  return [String(event), args.length > 1 ? args : (args[0] ?? null)];
}

/** About the bytes of an entry on the wire. */
export function entrySize(channel: string, entry: Entry): number {
  return entry.data.length + channel.length + 64;
}
