import { hash, randomFillSync, timingSafeEqual } from "node:crypto";

const TOKEN_CHARACTERS = 11;
/** 120 bits, as 20 characters. */
const RANDOM_BYTES = 15;
const SIGNED_CHARACTERS = TOKEN_CHARACTERS + 1 + 20;
/** 96 bits: nobody guesses one in the life of a process. */
const MAC_CHARACTERS = 16;

const FORM = /^(([\w-]{11})\.[\w-]{20})\.([\w-]{16})$/;

const pool = Buffer.alloc(RANDOM_BYTES * 256);
let taken = pool.length;
const made = Buffer.from(".".repeat(SIGNED_CHARACTERS + 1 + MAC_CHARACTERS), "latin1");

/** An id as it was read: who is said to have issued it, and what proves that. */
export interface SignedSessionId {
  readonly token: string;
  readonly signed: string;
  readonly mac: string;
}

/**
 * A new Engine.IO session id that names its node and that only this process can have issued:
 * `<node token>.<random>.<mac>`. An ingress reads the token as in any id that names its node (docs/affinity.md).
 */
export function signSessionId(token: string, key: Uint8Array): string {
  if (token.length !== TOKEN_CHARACTERS) throw new RangeError(`"${token}" is no node's token`);
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  const signed = `${token}.${pool.toString("base64url", taken, taken + RANDOM_BYTES)}`;
  taken += RANDOM_BYTES;
  // Put together as bytes: of joined texts V8 keeps the parts as long as the session lives.
  made.write(signed, 0, "latin1");
  made.write(macOf(signed, key), SIGNED_CHARACTERS + 1, "latin1");
  return made.toString("latin1");
}

/** @returns undefined for an id of any other form */
export function readSessionId(sid: string): SignedSessionId | undefined {
  const [, signed, token, mac] = FORM.exec(sid) ?? [];
  return signed !== undefined && token !== undefined && mac !== undefined
    ? { signed, token, mac }
    : undefined;
}

/** Whether the process that has this key issued the id. Takes as long whichever character is wrong. */
export function isIssuedWith({ signed, mac }: SignedSessionId, key: Uint8Array): boolean {
  return timingSafeEqual(Buffer.from(macOf(signed, key), "latin1"), Buffer.from(mac, "latin1"));
}

/** HMAC-SHA-256 (RFC 2104), out of two hashes of one call each: a third of what Node's own object for it takes. */
function macOf(signed: string, key: Uint8Array): string {
  const { inner, outer } = padsOf(key);
  inner.write(signed, BLOCK_BYTES, "latin1");
  outer.write(hash("sha256", inner, "hex"), BLOCK_BYTES, "hex");
  return hash("sha256", outer, "base64url").slice(0, MAC_CHARACTERS);
}

const BLOCK_BYTES = 64;
const HASH_BYTES = 32;

interface Pads {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

const pads = new WeakMap<Uint8Array, Pads>();

/** What is hashed, with the key in it, and room for the rest. */
function padsOf(key: Uint8Array): Pads {
  const known = pads.get(key);
  if (known) return known;
  if (key.length > BLOCK_BYTES) throw new RangeError("the key of a mac is longer than a block of its hash");
  const inner = Buffer.alloc(BLOCK_BYTES + SIGNED_CHARACTERS, 0x36);
  const outer = Buffer.alloc(BLOCK_BYTES + HASH_BYTES, 0x5c);
  key.forEach((byte, index) => {
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  });
  pads.set(key, { inner, outer });
  return { inner, outer };
}
