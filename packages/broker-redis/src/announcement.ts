import type { Entry } from "@holdfast/broker";

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
  let at = 0;
  while (bytes[at] === ENTRY) {
    const start = startOfData(bytes, at);
    const [, offset, seq, tag = "", time, epoch = "", length] = bytes
      .toString("latin1", at, start)
      .split(" ");
    at = start + Number(length);
    if (!(at >= start && at <= bytes.length)) return;
    const data = new Uint8Array(bytes.subarray(start, at));
    const entry = { offset: Number(offset), seq: Number(seq), tag, time: Number(time), data };
    yield { type: "entry", epoch, entry };
  }
}

/** After the seven words of an entry's head. */
function startOfData(bytes: Buffer, from: number): number {
  let at = from - 1;
  for (let n = 0; n < 7; n++) {
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
