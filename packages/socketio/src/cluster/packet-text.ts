import { Encoder, PacketType } from "socket.io-parser";
import { type Read, refuse } from "./frame.ts";

/** A packet as Socket.IO's own parser writes it. */
export interface PacketText {
  readonly text: string;
  readonly attachments: readonly Uint8Array[];
}

const encoder = new Encoder();

/** Names that a client takes for a broken packet, and ends its connection for. */
const RESERVED_EVENTS = new Set<unknown>([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** An event's packet. Later changes to `data` don't show in it. */
export function writePacket(namespace: string, data: readonly unknown[], id?: number): PacketText {
  const packet = {
    type: PacketType.EVENT,
    nsp: namespace,
    data: data as unknown[],
    ...(id === undefined ? {} : { id }),
  };
  const [text = "", ...attachments] = encoder.encode(packet) as [string, ...unknown[]];
  return { text, attachments: attachments.map(toBytes) };
}

/** What stands before a packet's acknowledgement id and its arguments. */
export function packetPrefix(namespace: string, attachments: number): string {
  const type = attachments === 0 ? `${PacketType.EVENT}` : `${PacketType.BINARY_EVENT}${attachments}-`;
  return namespace === "/" ? type : `${type}${namespace},`;
}

/** The arguments within a packet's text, `[event, …]`; undefined where it is no packet of this namespace. */
export function payloadOf(
  text: string,
  namespace: string,
  attachments: number,
): { id: string; payload: string } | undefined {
  const prefix = packetPrefix(namespace, attachments);
  if (!text.startsWith(prefix)) return undefined;
  const id = /^\d{0,15}/.exec(text.slice(prefix.length, prefix.length + 15))?.[0] ?? "";
  return { id, payload: text.slice(prefix.length + id.length) };
}

/** Reads arguments, which may be anything. Never throws. */
export function readPayload(payload: string, attachments: readonly Uint8Array[]): Read<unknown[]> {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return refuse("json");
  }
  if (!Array.isArray(value)) return refuse("shape");
  if (attachments.length === 0) return { ok: true, value };
  const filled = fill(value, attachments);
  return filled === undefined ? refuse("shape") : { ok: true, value: filled as unknown[] };
}

/** Whether a client takes these arguments for an event's. */
export function isEvent(data: readonly unknown[]): boolean {
  const [event] = data;
  return typeof event === "number" || (typeof event === "string" && !RESERVED_EVENTS.has(event));
}

/** Puts attachments where their placeholders are; undefined where one names none. The depth is bounded before. */
function fill(value: unknown, attachments: readonly Uint8Array[]): unknown {
  if (typeof value !== "object" || value === null) return value;
  if ((value as { _placeholder?: unknown })._placeholder === true) {
    const { num } = value as { num?: unknown };
    const bytes = typeof num === "number" ? attachments[num] : undefined;
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  for (const key of Object.keys(value)) {
    const holder = value as Record<string, unknown>;
    const filled = fill(holder[key], attachments);
    if (filled === undefined) return undefined;
    // Assigned, "__proto__" would change the object instead of the value that it holds.
    if (filled !== holder[key]) Object.defineProperty(holder, key, { value: filled });
  }
  return value;
}

function toBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return new Uint8Array(0);
}
