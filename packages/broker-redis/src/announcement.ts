import type { Entry } from "@holdfast/broker";
import { TAG_CHARACTERS } from "./log-scripts.ts";

/** What the scripts announce of a channel; the form is in log-scripts.ts. */
export type Announcement =
  | { readonly type: "entry"; readonly epoch: string; readonly entry: Entry }
  | { readonly type: "volatile"; readonly data: Uint8Array }
  /** The channel's epoch was made new. */
  | { readonly type: "epoch" };

const SPACE = 0x20;
const [ENTRY, VOLATILE, EPOCH] = [0x45, 0x56, 0x52];

/** What a message announces; nothing where it is none of these. Copies what it keeps. */
export function* readAnnouncements(bytes: Buffer): Iterable<Announcement> {
  if (bytes[0] === VOLATILE) yield { type: "volatile", data: new Uint8Array(bytes.subarray(2)) };
  if (bytes[0] === EPOCH) yield { type: "epoch" };
  if (bytes[0] !== ENTRY) return;
  let at = afterWords(bytes, 0, 3);
  const [, field = "", epoch = ""] = bytes.toString("latin1", 0, at).split(" ");
  while (at < bytes.length) {
    const start = afterWords(bytes, at, 2);
    const [id = "", length] = bytes.toString("latin1", at, start).split(" ");
    at = start + Number(length);
    if (!(at >= start && at <= bytes.length)) return;
    yield { type: "entry", epoch, entry: readEntry(id, field, bytes.subarray(start, at)) };
  }
}

/** An entry as the streams have it. Copies its data. */
export function readEntry(id: string, field: string, data: Uint8Array): Entry {
  const dash = id.indexOf("-");
  return {
    offset: Number(id.slice(0, dash)),
    seq: Number(id.slice(dash + 1)),
    tag: field.slice(0, TAG_CHARACTERS),
    time: Number(field.slice(TAG_CHARACTERS)),
    data: new Uint8Array(data),
  };
}

/** Where so many words, each with a space after it, end. */
function afterWords(bytes: Buffer, from: number, words: number): number {
  let at = from - 1;
  for (let n = 0; n < words; n++) {
    at = bytes.indexOf(SPACE, at + 1);
    if (at < 0) return bytes.length;
  }
  return at + 1;
}

/** The message of `notify`. */
export function volatileMessage(data: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(data.length + 2);
  message.write("V ", 0, "latin1");
  message.set(data, 2);
  return message;
}
