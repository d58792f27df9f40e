/** RFC 6455, section 5.2: the first byte of a frame that is a whole message. */
const WHOLE_TEXT = 0x81;
const WHOLE_BINARY = 0x82;

/** The packet type "message" of Engine.IO 4, which stands before a text; a binary message has none. */
const MESSAGE = "4";

/** What Socket.IO's encoder makes of a packet: a text, and one piece for each attachment. */
export type Encoded = readonly unknown[];

/**
 * The WebSocket frames that a server sends for an encoded packet over Engine.IO 4, one after the other.
 *
 * @returns undefined when it holds anything but texts and bytes (a Blob has to be awaited)
 */
export function frameOf(encoded: Encoded): Buffer | undefined {
  let total = 0;
  const lengths: number[] = [];
  for (const piece of encoded) {
    let length: number;
    if (typeof piece === "string") length = MESSAGE.length + Buffer.byteLength(piece);
    else if (ArrayBuffer.isView(piece) || piece instanceof ArrayBuffer) length = piece.byteLength;
    else return undefined;
    lengths.push(length);
    total += headLength(length) + length;
  }
  const frame = Buffer.allocUnsafe(total);
  let at = 0;
  for (const [index, piece] of encoded.entries()) {
    const length = lengths[index] ?? 0;
    at = writeHead(frame, at, typeof piece === "string" ? WHOLE_TEXT : WHOLE_BINARY, length);
    if (typeof piece === "string") {
      frame.write(MESSAGE, at, "latin1");
      frame.write(piece, at + MESSAGE.length, "utf8");
    } else {
      frame.set(bytesOf(piece as ArrayBufferView | ArrayBuffer), at);
    }
    at += length;
  }
  return frame;
}

const frames = new WeakMap<Encoded, Buffer>();

/** As `frameOf`, for a packet that is written to one socket after the other, and that nobody changes meanwhile. */
export function sharedFrameOf(encoded: Encoded): Buffer | undefined {
  const known = frames.get(encoded);
  if (known) return known;
  const frame = frameOf(encoded);
  if (frame) frames.set(encoded, frame);
  return frame;
}

function bytesOf(piece: ArrayBufferView | ArrayBuffer): Uint8Array {
  return ArrayBuffer.isView(piece)
    ? new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength)
    : new Uint8Array(piece);
}

function headLength(length: number): number {
  if (length < 126) return 2;
  return length < 0x1_0000 ? 4 : 10;
}

/** Unmasked, as a server's frames are. @returns where the payload begins */
function writeHead(frame: Buffer, at: number, first: number, length: number): number {
  frame[at] = first;
  if (length < 126) {
    frame[at + 1] = length;
    return at + 2;
  }
  if (length < 0x1_0000) {
    frame[at + 1] = 126;
    return frame.writeUInt16BE(length, at + 2);
  }
  frame[at + 1] = 127;
  return frame.writeBigUInt64BE(BigInt(length), at + 2);
}
