import type { Entry } from "@holdfast/broker";

/** What the scripts announce of a channel; the form is in log-scripts.ts. */
export type Announcement =
  | { readonly type: "entry"; readonly epoch: string; readonly entry: Entry }
  | { readonly type: "volatile"; readonly data: Uint8Array }
  /** The channel's epoch was made new. */
  | { readonly type: "epoch" };

const SPACE = 0x20;
const [ENTRY, VOLATILE, EPOCH] = [0x45, 0x56, 0x52];

/** Undefined for what is none. Copies what it keeps. */
export function readAnnouncement(bytes: Buffer): Announcement | undefined {
  switch (bytes[0]) {
    case VOLATILE:
      return { type: "volatile", data: new Uint8Array(bytes.subarray(2)) };
    case EPOCH:
      return { type: "epoch" };
    case ENTRY:
      return readEntry(bytes);
    default:
      return undefined;
  }
}

function readEntry(bytes: Buffer): Announcement | undefined {
  let at = 1;
  for (let n = 0; n < 5; n++) {
    at = bytes.indexOf(SPACE, at + 1);
    if (at < 0) return undefined;
  }
  const [offset, seq, tag = "", time, epoch = ""] = bytes.toString("latin1", 2, at).split(" ");
  const data = new Uint8Array(bytes.subarray(at + 1));
  const entry = { offset: Number(offset), seq: Number(seq), tag, time: Number(time), data };
  return Number.isSafeInteger(entry.offset) ? { type: "entry", epoch, entry } : undefined;
}

/** The message of `notify`. */
export function volatileMessage(data: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(data.length + 2);
  message.write("V ", 0, "latin1");
  message.set(data, 2);
  return message;
}
