import { createHash } from "node:crypto";
import type { Entry } from "@holdfast/broker";

/**
 * How far a client has come, in the one string that a stock client keeps: the last argument of the last packet that it
 * was given. Opaque to clients, and whatever comes back from them is checked against the log.
 */
export type Place =
  /** It was given no packet yet; it missed whatever came since it joined its rooms. */
  | { readonly type: "start" }
  /** It was given this entry, and every entry of its rooms with a `seq` that is not above. */
  | {
      readonly type: "entry";
      readonly seq: number;
      /** Which channel the entry is of: {@link channelMark}. */
      readonly mark: string;
      readonly offset: number;
      readonly tag: string;
    };

/** The place of a client that was given no packet yet. */
export const START = "h1.0";
/** Stands where no place can be told, so that the client keeps none that is too old: nothing is continued from it. */
export const UNSURE = "h1.-";

const TEXT = /^h1\.([1-9a-z][0-9a-z]{0,10})\.([\w-]{8})\.([1-9a-z][0-9a-z]{0,10})\.([\w-]{0,16})$/;
const MAX_CHARACTERS = 64;
const MAX_MARKS = 10_000;

const marks = new Map<string, string>();

/** A channel's name in a place: 48 bits of its SHA-256, in base64url. */
export function channelMark(channel: string): string {
  let mark = marks.get(channel);
  if (mark === undefined) {
    mark = createHash("sha256").update(channel, "utf8").digest().toString("base64url", 0, 6);
    if (marks.size >= MAX_MARKS) marks.clear();
    marks.set(channel, mark);
  }
  return mark;
}

/**
 * The place of a client that is given this entry now.
 *
 * @param seq the greatest that the node has handed out, this entry included
 */
export function formatPlace(channel: string, entry: Entry, seq: number): string {
  return `h1.${seq.toString(36)}.${channelMark(channel)}.${entry.offset.toString(36)}.${entry.tag}`;
}

/** Reads what a client sent, which may be anything; undefined where it is no place to continue from. */
export function parsePlace(text: unknown): Place | undefined {
  if (typeof text !== "string" || text.length > MAX_CHARACTERS) return undefined;
  if (text === START) return { type: "start" };
  const match = TEXT.exec(text);
  if (!match) return undefined;
  const [, seqDigits = "", mark = "", offsetDigits = "", tag = ""] = match;
  const seq = Number.parseInt(seqDigits, 36);
  const offset = Number.parseInt(offsetDigits, 36);
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(offset)) return undefined;
  return { type: "entry", seq, mark, offset, tag };
}
