import { createHmac, timingSafeEqual } from "node:crypto";
import { type Hash64, hash64 } from "../endpoints/hash.ts";
import { readCookie } from "./cookie-header.ts";
import type { SigningKey } from "./cookie-keys.ts";

/** What a cookie says that is signed by one of our keys. */
export interface Pin {
  readonly key: SigningKey;
  /** What the key calls the endpoint. */
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  /** Differs from client to client, nearly always: spreads them while their endpoint can't be used. */
  readonly hash: Hash64;
}

/** 128 bits of HMAC-SHA256: RFC 2104 §5 asks for at least half of the hash. */
const SIGNATURE_BYTES = 16;
const VALUE = /^(v1\.([A-Za-z0-9_-]{1,16})\.([A-Za-z0-9_-]{11})\.([0-9a-z]{1,9}))\.([A-Za-z0-9_-]{22})$/;
/** Cookies that are kept as verified, twice over. */
const REMEMBERED = 4_096;

/**
 * The values of the cookies that pin a client to an endpoint: `v1.<key id>.<token>.<issued>.<signature>`.
 *
 * The token is a keyed hash of the endpoint, so it shows no address; the signature covers all before it and the
 * backend service, so no client can make, change or move one. All that is needed to read one is the key: any number
 * of ingresses with the same keys agree, and a restart changes nothing.
 */
export class PinnedCookies {
  readonly #name: string;
  readonly #scope: string;
  readonly #keys: readonly SigningKey[];
  /**
   * To verify costs more than all the rest of a choice, and clients come again; so values that were good are
   * remembered, in two generations of which the older one is dropped when the younger one is full.
   */
  #younger = new Map<string, Pin>();
  #older = new Map<string, Pin>();

  /** @param keys the first signs, all verify; never empty */
  constructor(name: string, backendService: string, keys: readonly SigningKey[]) {
    this.#name = name;
    this.#scope = backendService;
    this.#keys = keys;
  }

  /** The pin of a `Cookie` header's first cookie of that name that is ours, however old; undefined where there is none. */
  read(cookieHeader: string | undefined): Pin | undefined {
    return readCookie(cookieHeader, this.#name, (value) => this.#verify(value));
  }

  /** A new value that calls the endpoint by this token of the key. */
  sign(key: SigningKey, token: string, issuedAt: number): string {
    const text = `v1.${key.id}.${token}.${Math.floor(issuedAt).toString(36)}`;
    return `${text}.${this.#signature(key, text)}`;
  }

  #verify(value: string): Pin | undefined {
    const remembered = this.#younger.get(value) ?? this.#older.get(value);
    if (remembered) return remembered;
    const [, text = "", id, token = "", issued = "", signature = ""] = VALUE.exec(value) ?? [];
    const key = this.#keys.find((candidate) => candidate.id === id);
    if (!key) return undefined;
    // As texts: base64url has several texts for the same bytes, and only one of them is what was issued.
    const expected = Buffer.from(this.#signature(key, text), "latin1");
    if (!timingSafeEqual(expected, Buffer.from(signature, "latin1"))) return undefined;
    const pin = { key, token, issuedAt: Number.parseInt(issued, 36), hash: hash64(value) };
    if (this.#younger.size === REMEMBERED) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(value, pin);
    return pin;
  }

  #signature(key: SigningKey, text: string): string {
    const full = createHmac("sha256", key.signatures).update(`${text}\n${this.#scope}`).digest();
    return full.toString("base64url", 0, SIGNATURE_BYTES);
  }
}
