import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";

/** 120 bits, as 20 characters. */
const RANDOM_BYTES = 15;
/** 96 bits, as 16 characters: nobody guesses one in the life of a process. */
const MAC_BYTES = 12;

const FORM = /^(([\w-]{11})\.[\w-]{20})\.([\w-]{16})$/;

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
  const signed = `${token}.${randomBytes(RANDOM_BYTES).toString("base64url")}`;
  return `${signed}.${macOf(signed, key).toString("base64url")}`;
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
  return timingSafeEqual(macOf(signed, key), Buffer.from(mac, "base64url"));
}

function macOf(signed: string, key: Uint8Array): Buffer {
  return createHmac("sha256", keyObjectOf(key)).update(signed).digest().subarray(0, MAC_BYTES);
}

const keyObjects = new WeakMap<Uint8Array, KeyObject>();

/** To make one takes several times as long as the mac itself. */
function keyObjectOf(key: Uint8Array): KeyObject {
  const known = keyObjects.get(key);
  if (known) return known;
  const made = createSecretKey(key);
  keyObjects.set(key, made);
  return made;
}
