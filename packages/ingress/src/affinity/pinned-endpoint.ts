import { createHash, createHmac } from "node:crypto";
import type { BackendServiceId, PinnedCookie } from "@holdfast/routing";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import { IngressError } from "../errors.ts";
import type { AffinityFacts, AffinityRule, Choice } from "./affinity.ts";
import type { SigningKey, SigningKeys } from "./cookie-keys.ts";
import { MemberIndex } from "./member-index.ts";
import { type Pin, PinnedCookies } from "./pinned-cookie.ts";

/** Bytes of an endpoint's token: 11 characters. It is no secret, it only must not be guessed back. */
const TOKEN_BYTES = 8;
/** Seconds that another ingress's clock may be ahead of this one's. */
const CLOCK_SKEW_SEC = 60;

/**
 * `PINNED_COOKIE`: the endpoint that the cookie names, for as long as that is a member of the backend service.
 *
 * Where the endpoint can't be used for now, its clients are spread over the others and keep their cookie, so that
 * they return; once it is removed, a request is a new client's. A new client goes to the less loaded of two endpoints
 * that are drawn, and is issued a cookie, except on a CORS preflight. Adding an endpoint moves nobody. A cookie
 * that is past its time, forged, of another backend service or by a key that isn't ours is no cookie. A cookie is
 * issued anew for the same endpoint once a tenth of its time has passed, or when it is by another key than the first.
 */
export class PinnedEndpoint implements AffinityRule {
  readonly #settings: PinnedCookie;
  readonly #name: string;
  readonly #cookies: PinnedCookies;
  readonly #signing: SigningKey;
  readonly #members: ReadonlyMap<SigningKey, MemberIndex>;

  /**
   * @throws IngressError `MODEL_INVALID` for settings that no `Set-Cookie` can say
   */
  constructor(backendService: BackendServiceId, settings: PinnedCookie, keys: SigningKeys) {
    checkSettings(settings);
    this.#settings = settings;
    this.#name = cookieName(settings.name, backendService);
    this.#cookies = new PinnedCookies(this.#name, backendService, keys);
    this.#signing = keys[0];
    this.#members = new Map(
      keys.map((key) => [
        key,
        new MemberIndex(
          ({ id }) => `${backendService} ${id}`,
          (text) => tokenOf(key, text),
        ),
      ]),
    );
  }

  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    const now = Date.now();
    const pin = this.#pin(facts, now);
    const home = pin && this.#homeOf(table, pin);
    if (pin && home) {
      if (table.canTake(home, tried))
        return { state: home, reason: "cookie", ...this.#renewal(pin, home, facts, now) };
      const state = table.ownerOf(pin.hash, tried);
      return state && { state, reason: "failed-over" };
    }
    const state = table.pickLessLoaded(tried);
    if (!state) return undefined;
    return {
      state,
      reason: tried.size === 0 ? "new" : "failed-over",
      ...(!facts.preflight && { setCookie: this.#setCookie(state, facts, now) }),
    };
  }

  /** The cookie to issue anew, if any, with an answer to a request that was sent to its endpoint by another rule. */
  renew(table: EndpointTable, facts: AffinityFacts): string | undefined {
    const now = Date.now();
    const pin = this.#pin(facts, now);
    const home = pin && this.#homeOf(table, pin);
    return pin && home && this.#renewal(pin, home, facts, now)?.setCookie;
  }

  #pin(facts: AffinityFacts, now: number): Pin | undefined {
    const pin = this.#cookies.read(facts.cookieHeader);
    const { ttlSec } = this.#settings;
    return pin && ttlSec > 0 && now - pin.issuedAt > ttlSec * 1000 ? undefined : pin;
  }

  #homeOf(table: EndpointTable, pin: Pin): EndpointState | undefined {
    return this.#members.get(pin.key)?.find(table, pin.token);
  }

  #renewal(
    pin: Pin,
    home: EndpointState,
    facts: AffinityFacts,
    now: number,
  ): { readonly setCookie: string } | undefined {
    const { ttlSec } = this.#settings;
    const ageSec = (now - pin.issuedAt) / 1000;
    const due = ttlSec > 0 && (ageSec > ttlSec / 10 || ageSec < -CLOCK_SKEW_SEC);
    if ((!due && pin.key === this.#signing) || facts.preflight) return undefined;
    return { setCookie: this.#setCookie(home, facts, now) };
  }

  #setCookie(state: EndpointState, facts: AffinityFacts, now: number): string {
    const { path, domain, ttlSec, secure, sameSite } = this.#settings;
    const token = this.#members.get(this.#signing)?.tokenOf(state) ?? "";
    let cookie = `${this.#name}=${this.#cookies.sign(this.#signing, token, now)}; Path=${path}`;
    if (domain !== undefined) cookie += `; Domain=${domain}`;
    if (ttlSec > 0) cookie += `; Max-Age=${ttlSec}`;
    cookie += "; HttpOnly";
    if (secure === true || (secure === "auto" && facts.secure)) cookie += "; Secure";
    if (sameSite !== undefined) cookie += `; SameSite=${sameSite}`;
    return cookie;
  }
}

/**
 * The name of a backend service's cookie: the one that is set, and a mark of the service. A host has several services
 * by its paths, and under one name each would put away what the other has issued.
 */
export function cookieName(name: string, backendService: BackendServiceId): string {
  return `${name}-${createHash("sha256").update(backendService).digest().toString("base64url").slice(0, 6)}`;
}

function tokenOf(key: SigningKey, text: string): string {
  return createHmac("sha256", key.tokens).update(text).digest().toString("base64url", 0, TOKEN_BYTES);
}

/** What stands in a header of every answer must not be able to end that header, or an attribute (RFC 6265 §4.1.1). */
function checkSettings({ name, path, domain, ttlSec, sameSite }: PinnedCookie): void {
  const wrong =
    (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(name) && "a name that is no token") ||
    (!/^\/[\x21-\x3a\x3c-\x7e]{0,1023}$/.test(path) && "a path that is none") ||
    (domain !== undefined && !/^[0-9A-Za-z.-]{1,253}$/.test(domain) && "a domain that is none") ||
    (!(Number.isSafeInteger(ttlSec) && ttlSec >= 0) && "a lifetime that is no whole number of seconds") ||
    (sameSite !== undefined &&
      !["Strict", "Lax", "None"].includes(sameSite) &&
      "another SameSite than Strict, Lax or None");
  if (wrong) throw new IngressError("MODEL_INVALID", `a pinned cookie has ${wrong}`);
}
