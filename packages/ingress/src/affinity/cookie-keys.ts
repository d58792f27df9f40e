import { createHmac, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { IngressError } from "../errors.ts";

/** A secret that pinned cookies are signed with. */
export interface CookieKey {
  /** Stands in the cookie, so that the right secret is found again: 1 to 16 letters, digits, `-` and `_`. */
  readonly id: string;
  /** At least 32 bytes that nobody can guess; a text counts as its UTF-8 bytes. */
  readonly secret: string | Uint8Array;
}

/**
 * A key, ready for use: one secret for each purpose, so that no value made for the one is of use for the other. An HMAC
 * with a key object takes a sixth of the time of one with a buffer.
 */
export interface SigningKey {
  readonly id: string;
  /** Turns an endpoint into what a cookie calls it. */
  readonly tokens: KeyObject;
  readonly signatures: KeyObject;
}

/** The first signs, all verify. */
export type SigningKeys = readonly [SigningKey, ...SigningKey[]];

const MIN_SECRET_BYTES = 32;
/** A rotation needs two. */
const MAX_KEYS = 16;

/** A key that nobody else has: cookies signed with it mean nothing to any other ingress. */
export function randomCookieKey(): CookieKey {
  return { id: `r${randomBytes(6).toString("base64url")}`, secret: randomBytes(MIN_SECRET_BYTES) };
}

/** @throws IngressError `OPTION_INVALID`, which never quotes a secret */
export function readCookieKeys(keys: readonly CookieKey[]): SigningKeys {
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) {
    throw invalid(`must be a list of at most ${MAX_KEYS} keys`);
  }
  const ids = new Set<unknown>();
  const [first, ...rest] = keys.map((key: Partial<CookieKey> | null): SigningKey => {
    const { id, secret } = key ?? {};
    if (typeof id !== "string" || !/^[A-Za-z0-9_-]{1,16}$/.test(id)) {
      throw invalid("must each have an id of 1 to 16 letters, digits, - and _");
    }
    if (ids.has(id)) throw invalid(`has the id ${id} twice`);
    ids.add(id);
    const bytes = typeof secret === "string" ? Buffer.from(secret, "utf8") : secret;
    if (!(bytes instanceof Uint8Array) || bytes.length < MIN_SECRET_BYTES) {
      throw invalid(`must each have a secret of at least ${MIN_SECRET_BYTES} bytes; ${id} has not`);
    }
    return {
      id,
      tokens: derive(bytes, "holdfast pinned cookie v1: endpoint"),
      signatures: derive(bytes, "holdfast pinned cookie v1: signature"),
    };
  });
  if (!first) throw invalid("must not be empty");
  return [first, ...rest];
}

function derive(secret: Uint8Array, purpose: string): KeyObject {
  return createSecretKey(createHmac("sha256", secret).update(purpose).digest());
}

function invalid(what: string): IngressError {
  return new IngressError("OPTION_INVALID", `cookieKeys ${what}`);
}
