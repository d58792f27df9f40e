import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { EndpointTable } from "../endpoints/endpoint-table.ts";
import type { Hash64 } from "../endpoints/hash.ts";
import { type AffinityFacts, type AffinityRule, byKey, byTurns, type Choice } from "./affinity.ts";
import { formatGcilb, readGcilb } from "./gcilb-cookie.ts";
import { formatGclb, readGclb } from "./gclb-cookie.ts";

/** How a load balancer writes its cookie. */
interface Dialect {
  readonly read: (cookieHeader: string | undefined) => Hash64 | undefined;
  readonly format: (key: Hash64, ttlSec: number) => string;
}

export const GCLB: Dialect = { read: readGclb, format: formatGclb };
export const GCILB: Dialect = { read: readGcilb, format: formatGcilb };

/**
 * GKE's `GENERATED_COOKIE`: the endpoint that the cookie's key is hashed to. A request without a cookie that decodes
 * takes the next endpoint by turns and is issued a new random key that falls on it, so that new clients spread
 * evenly. A cookie is never renewed or changed: not when its endpoint is down (it returns there once that has
 * recovered), and not when an endpoint is added (about one in N then falls on the new one).
 */
export class GeneratedCookie implements AffinityRule {
  readonly #dialect: Dialect;
  readonly #ttlSec: number;

  constructor(dialect: Dialect, ttlSec: number) {
    this.#dialect = dialect;
    this.#ttlSec = ttlSec;
  }

  choose(table: EndpointTable, facts: AffinityFacts, tried: ReadonlySet<EndpointState>): Choice | undefined {
    const key = this.#dialect.read(facts.cookieHeader);
    if (key) return byKey(table, key, tried, "cookie");
    const choice = byTurns(table, tried, "new");
    if (!choice) return undefined;
    return { ...choice, setCookie: this.#dialect.format(table.mintKey(choice.state), this.#ttlSec) };
  }
}
