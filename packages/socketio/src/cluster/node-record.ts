import type { Lease } from "@holdfast/broker";
import { nodeToken } from "../session-id.ts";

/** What a node tells the others about itself, in its membership lease. */
export interface NodeRecord {
  /** Of this process alone: `<node token>.<random>`, the id of its lease owner. */
  readonly uid: string;
  /** The node's name, which a process started in its place takes over. */
  readonly node: string;
  /** `nodeToken(node)`: the first part of its session ids. */
  readonly token: string;
  /** Where the other nodes reach its HTTP server, `http://10.0.0.3:3000`; absent until it listens. */
  readonly address?: string;
  /** The path of its Engine.IO server, with the slash at its end. */
  readonly path?: string;
  /** 32 bytes that only this process signs its session ids with. */
  readonly key: Uint8Array;
}

const KEY_BYTES = 32;
const MAX_VALUE_BYTES = 4096;
const MAX_NODE_CHARACTERS = 253;
const UID = /^[\w-]{11}\.[\w-]{8,64}$/;
const ENGINE_PATH = /^\/[\x21-\x7e]{0,199}$/;

/** 32 bytes from the system's generator make a key. */
export const NODE_KEY_BYTES = KEY_BYTES;

export function encodeNodeRecord(record: NodeRecord): Uint8Array {
  const { uid, node, address, path, key } = record;
  return Buffer.from(
    JSON.stringify({ uid, node, address, path, key: Buffer.from(key).toString("base64url") }),
  );
}

/**
 * Reads another node's lease. Whoever can write to the broker can write one, so every field is checked: the lease's key
 * is the name's token, and its owner is the process that it names.
 *
 * @returns undefined for what is no such record
 */
export function readNodeRecord({ key: token, owner, value }: Lease): NodeRecord | undefined {
  const read = value.length <= MAX_VALUE_BYTES ? parse(value) : undefined;
  if (typeof read !== "object" || read === null) return undefined;
  const { uid, node, address, path, key } = read as Record<string, unknown>;
  if (typeof uid !== "string" || uid !== owner || !UID.test(uid)) return undefined;
  if (typeof node !== "string" || node.length > MAX_NODE_CHARACTERS || nodeToken(node) !== token)
    return undefined;
  if (address !== undefined && !isNodeAddress(address)) return undefined;
  if (path !== undefined && (typeof path !== "string" || !ENGINE_PATH.test(path))) return undefined;
  const bytes = typeof key === "string" ? Buffer.from(key, "base64url") : undefined;
  if (bytes?.length !== KEY_BYTES) return undefined;
  return {
    uid,
    node,
    token,
    key: bytes,
    ...(address !== undefined && { address }),
    ...(path !== undefined && { path }),
  };
}

/** `http://HOST:PORT` and nothing else: no path, no name and password, no other scheme. */
export function isNodeAddress(text: unknown): text is string {
  if (typeof text !== "string" || text.length > 300 || !URL.canParse(text)) return false;
  const { protocol, username, password, pathname, search, hash, hostname } = new URL(text);
  return (
    protocol === "http:" &&
    hostname !== "" &&
    pathname === "/" &&
    `${username}${password}${search}${hash}` === ""
  );
}

function parse(value: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(value));
  } catch {
    return undefined;
  }
}
