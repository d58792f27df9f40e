import type { Entry } from "@holdfast/broker";
import { decodeMessage } from "@holdfast/hub";
import { UNREADABLE } from "./wire.ts";

/** The arguments of `holdfast:entry`. */
export type EntryArguments = [channel: string, offset: number, tag: string, event: string, data: unknown];

/**
 * An entry as it goes to clients. One whose bytes are no message keeps its place, without content: left out, it
 * would look like a loss to every client, for ever.
 */
export function entryArguments(
  channel: string,
  entry: Entry,
  onUnreadable: (reason: string) => void,
): EntryArguments {
  const decoded = decodeMessage(entry.data);
  if (decoded.ok) return [channel, entry.offset, entry.tag, decoded.message.event, decoded.message.data];
  onUnreadable(decoded.reason);
  return [channel, entry.offset, entry.tag, UNREADABLE, null];
}

/** About the bytes of an entry on the wire. */
export function entrySize(channel: string, entry: Entry): number {
  return entry.data.length + channel.length + 64;
}
