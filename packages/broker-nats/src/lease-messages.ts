import { isCount } from "@holdfast/broker/engine";

/** What the stream of leases holds: each message replaces the one before it at its subject. */
export type LeaseMessage =
  /** An owner lives. `life` is the place in the stream of the message that began its life; 0: this one does. */
  | {
      readonly type: "owner";
      readonly owner: string;
      readonly ttlMs: number;
      readonly life: number;
      /** The life before this one, and when it was over. */
      readonly before?: EndedLife;
    }
  /** An owner's life is over. */
  | {
      readonly type: "end";
      readonly owner: string;
      readonly life: number;
      readonly how: "expired" | "released";
      /** When its time was over, where it expired. */
      readonly at: number;
    }
  | {
      readonly type: "lease";
      readonly id: string;
      readonly group: string;
      readonly key: string;
      readonly owner: string;
      /** The life of its owner that it belongs to. */
      readonly life: number;
      readonly lingerMs: number;
      /** Another owner had it before, so far as anybody remembers. */
      readonly moved: boolean;
      readonly value: Uint8Array;
    }
  | {
      readonly type: "removed";
      readonly id: string;
      readonly group: string;
      readonly key: string;
      readonly owner: string;
      readonly moved: boolean;
      /** Of the lease that is gone. */
      readonly version: number;
    }
  /** Tells how far the table has come. */
  | { readonly type: "mark"; readonly id: string };

export interface EndedLife {
  readonly life: number;
  readonly at: number;
}

/** A length (two bytes), that many bytes of JSON, and a lease's value. */
export function encodeLease(message: LeaseMessage): Uint8Array {
  const { value, ...rest } = message.type === "lease" ? message : { ...message, value: new Uint8Array() };
  const meta = Buffer.from(JSON.stringify({ v: 1, ...rest }), "latin1");
  const length = Buffer.alloc(2);
  length.writeUInt16BE(meta.length);
  return Buffer.concat([length, meta, value]);
}

/** @returns undefined when the bytes are no message of this kind. */
export function decodeLease(bytes: Uint8Array): LeaseMessage | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 2) return undefined;
  const start = 2 + buffer.readUInt16BE();
  if (start > buffer.length) return undefined;
  let meta: unknown;
  try {
    meta = JSON.parse(buffer.toString("latin1", 2, start));
  } catch {
    return undefined;
  }
  if (typeof meta !== "object" || meta === null) return undefined;
  return readMessage(meta as { readonly [name: string]: unknown }, new Uint8Array(buffer.subarray(start)));
}

function readMessage(
  meta: { readonly [name: string]: unknown },
  value: Uint8Array,
): LeaseMessage | undefined {
  const { v, type, id, group, key, owner, life, ttlMs, before, how, at, lingerMs, moved, version } = meta;
  if (v !== 1) return undefined;
  if (type === "mark") return isText(id) ? { type, id } : undefined;
  if (!isText(owner)) return undefined;
  if (type === "owner" && isCount(ttlMs) && isCount(life)) {
    const ended = readEnded(before);
    return { type, owner, ttlMs, life, ...(ended && { before: ended }) };
  }
  if (type === "end" && isCount(life) && isCount(at) && (how === "expired" || how === "released"))
    return { type, owner, life, how, at };
  if (!isText(id) || !isText(group) || !isText(key) || typeof moved !== "boolean") return undefined;
  if (type === "removed" && isCount(version)) return { type, id, group, key, owner, moved, version };
  if (type === "lease" && isCount(life) && isCount(lingerMs))
    return { type, id, group, key, owner, life, lingerMs, moved, value };
  return undefined;
}

function readEnded(value: unknown): EndedLife | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { life, at } = value as { readonly [name: string]: unknown };
  return isCount(life) && isCount(at) ? { life, at } : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= 200;
}
