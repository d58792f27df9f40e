/** What an entry's bytes carry: an event and its data, as the publisher gave them. */
export interface Message {
  readonly event: string;
  /** Any JSON value. */
  readonly data: unknown;
}

export type Decoded =
  | { readonly ok: true; readonly message: Message }
  | { readonly ok: false; readonly reason: "encoding" | "utf-8" | "json" | "shape" | "depth" };

/**
 * Arrays and objects may be nested this deep. Encoders walk a value recursively, so a deeper one could end the
 * process that delivers it.
 */
export const MAX_DEPTH = 128;

/** The first byte of the only encoding so far: UTF-8 JSON text `[event,data]`. Others are kept for later ones. */
const JSON_TEXT = 0x5b;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** An entry's bytes. `data` must be a JSON value; `undefined` is written as null. */
export function encodeMessage(message: Message): Uint8Array {
  return encoder.encode(JSON.stringify([message.event, message.data]));
}

/** Reads an entry's bytes, which may be anything: another program can write to the same broker. Never throws. */
export function decodeMessage(bytes: Uint8Array): Decoded {
  if (bytes[0] !== JSON_TEXT) return { ok: false, reason: "encoding" };
  if (!isShallow(bytes)) return { ok: false, reason: "depth" };
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { ok: false, reason: "utf-8" };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, reason: "json" };
  }
  if (!Array.isArray(value) || value.length !== 2 || typeof value[0] !== "string") {
    return { ok: false, reason: "shape" };
  }
  return { ok: true, message: { event: value[0], data: value[1] } };
}

/** Whether JSON text nests no deeper than MAX_DEPTH. Looks at brackets outside of strings only. */
export function isShallow(bytes: Uint8Array): boolean {
  // A text too short for that many brackets needs no look.
  if (bytes.length <= MAX_DEPTH) return true;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === 0x5c) at++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > MAX_DEPTH) return false;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  return true;
}
