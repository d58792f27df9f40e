import { isShallow } from "@holdfast/hub";

/**
 * What one node tells others: a header, and a packet as Socket.IO's own parser writes it, text and attachments.
 *
 * Its bytes: 0x02, the header's length (4 bytes, big-endian), the header (JSON), the packet's text (UTF-8), the
 * attachments. The header's `l` holds the lengths of the text and of each attachment.
 */
export interface Frame {
  readonly header: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly attachments: readonly Uint8Array[];
}

/** Why bytes are no frame or no packet. */
export type Refusal = "encoding" | "utf-8" | "json" | "shape" | "depth";

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: Refusal };

/** The first byte; JSON text begins with another. */
export const FRAME = 0x02;

const PREFIX_BYTES = 5;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeFrame({ header, text, attachments }: Frame): Uint8Array {
  const textBytes = Buffer.byteLength(text);
  const lengths = [textBytes, ...attachments.map((bytes) => bytes.length)];
  const head = JSON.stringify({ ...header, l: lengths });
  const headBytes = Buffer.byteLength(head);
  const total = lengths.reduce((sum, length) => sum + length, PREFIX_BYTES + headBytes);
  const bytes = Buffer.allocUnsafe(total);
  bytes[0] = FRAME;
  bytes.writeUInt32BE(headBytes, 1);
  let at = PREFIX_BYTES;
  at += bytes.write(head, at, "utf8");
  at += bytes.write(text, at, "utf8");
  for (const attachment of attachments) {
    bytes.set(attachment, at);
    at += attachment.length;
  }
  return bytes;
}

/** Reads bytes, which may be anything. Never throws. Attachments are views of them. */
export function decodeFrame(bytes: Uint8Array): Read<Frame> {
  if (bytes[0] !== FRAME) return refuse("encoding");
  if (bytes.length < PREFIX_BYTES) return refuse("shape");
  const headEnd = PREFIX_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
  if (headEnd > bytes.length) return refuse("shape");
  const head = readJson(bytes.subarray(PREFIX_BYTES, headEnd));
  if (!head.ok) return head;
  const header = head.value;
  if (typeof header !== "object" || header === null || Array.isArray(header)) return refuse("shape");
  const lengths = (header as Record<string, unknown>).l;
  if (!Array.isArray(lengths) || lengths.length === 0 || !lengths.every(isLength)) return refuse("shape");
  if (lengths.reduce((sum, length) => sum + length, headEnd) !== bytes.length) return refuse("shape");

  let at = headEnd;
  const parts = lengths.map((length) => {
    at += length;
    return bytes.subarray(at - length, at);
  });
  const [textBytes = bytes.subarray(0, 0), ...attachments] = parts;
  if (!isShallow(textBytes)) return refuse("depth");
  const text = readText(textBytes);
  if (text === undefined) return refuse("utf-8");
  return { ok: true, value: { header: header as Record<string, unknown>, text, attachments } };
}

/** UTF-8 text; undefined where it is none. */
export function readText(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function refuse(reason: Refusal): { readonly ok: false; readonly reason: Refusal } {
  return { ok: false, reason };
}

function readJson(bytes: Uint8Array): Read<unknown> {
  if (!isShallow(bytes)) return refuse("depth");
  const text = readText(bytes);
  if (text === undefined) return refuse("utf-8");
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch {
    return refuse("json");
  }
}

function isLength(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
