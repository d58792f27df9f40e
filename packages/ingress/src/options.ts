import { type CookieKey, readCookieKeys, type SigningKeys } from "./affinity/cookie-keys.ts";
import type { AskOthers } from "./affinity/session-search.ts";
import { IngressError } from "./errors.ts";
import type { IngressEvent } from "./events.ts";
import { isRange } from "./relay/trusted-proxies.ts";

export interface IngressOptions {
  /** Called for every request, change and refusal; must neither block nor throw. */
  readonly onEvent?: (event: IngressEvent) => void;
  /** Milliseconds for an endpoint to accept a connection. Default 2,000. */
  readonly connectTimeoutMs?: number;
  /**
   * Milliseconds for which an endpoint that could not be connected to, or did not answer, is passed over. It doubles
   * each further time in a row. Default 2,000.
   */
  readonly passiveDownMs?: number;
  /** Milliseconds that an endpoint is passed over at a time, at most. Default 30,000. */
  readonly maxPassiveDownMs?: number;
  /** Connections in a row that an endpoint may end instead of answering before it is passed over. Default 3. */
  readonly maxResets?: number;
  /** Endpoints that a request is offered to before it is answered with 502. Default 3. */
  readonly maxTries?: number;
  /** Bytes of a request's or response's head, else 431 or 502. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** Milliseconds for a client to send a request's head, else 408. Default 10,000. */
  readonly headersTimeoutMs?: number;
  /** Milliseconds that a client's connection may be idle between requests. Default 610,000, as on GKE. */
  readonly clientIdleTimeoutMs?: number;
  /** Client connections of one listener; more are closed at once. Default 10,000. */
  readonly maxConnections?: number;
  /**
   * Connections of one client address, of all listeners; more are answered with 429 and closed. Those of
   * `trustedProxies` don't count. Default 10,000.
   */
  readonly maxConnectionsPerClient?: number;
  /** Upgraded connections at a time, of all listeners; more are answered with 503. Default 10,000. */
  readonly maxUpgrades?: number;
  /** Bytes of a request's body, else 413. Default 0: any number, since none is kept here. */
  readonly maxBodyBytes?: number;
  /** Milliseconds without a byte of a body that is expected and would be taken, else 408. Default 60,000. */
  readonly bodyTimeoutMs?: number;
  /**
   * Milliseconds that an upgraded connection of a load balancer of class `holdfast` may be silent both ways. Default
   * 3,600,000. Those of GKE's classes have the backend service's timeout instead.
   */
  readonly upgradeIdleTimeoutMs?: number;
  /**
   * Addresses and CIDR ranges of proxies in front. One of them is believed when its `X-Forwarded-For` says whom it
   * speaks for: that is then the client, in events and for affinity. Default none.
   */
  readonly trustedProxies?: readonly string[];
  /**
   * Whether answers say where their request went and why, as `Holdfast-Decision: pod=<name>; reason=<reason>;
   * tries=<n>`: `asked`, where the request has a field of that name. Default `never`: pods' names are nobody's business.
   */
  readonly decisions?: "never" | "asked" | "always";
  /**
   * Whether every connection begins with a PROXY header, version 1 or 2, by which a balancer in front says who the
   * client is. Where `trustedProxies` are given, it is taken from those alone. Default false.
   */
  readonly proxyProtocol?: boolean;
  /** Milliseconds for a TLS handshake. Default 10,000. */
  readonly handshakeTimeoutMs?: number;
  /** Idle connections kept to one endpoint. Default 256. */
  readonly maxIdleUpstream?: number;
  /**
   * The secrets of pinned cookies: the first signs, all verify, so a secret is changed by putting the new one first
   * and taking the old one away when the cookies' time is over. Ingresses with the same keys agree on every cookie.
   * Default: one drawn at random, so that after a restart every client is pinned anew.
   */
  readonly cookieKeys?: readonly CookieKey[];
  /**
   * Engine.IO sessions of servers whose session ids don't name their node, remembered at a time. Past it the one that
   * wasn't used for the longest time is forgotten. Default 100,000, which take some 30 MB.
   */
  readonly maxSessions?: number;
  /** Milliseconds that such a session is remembered without being used. Default 600,000. */
  readonly sessionIdleMs?: number;
  /** Where there are further worker processes: asks them for the owner of such a session (`Ingress.ownerOfSession`). */
  readonly askOthers?: AskOthers;
}

export type ResolvedOptions = Required<Omit<IngressOptions, "cookieKeys" | "askOthers">> & {
  readonly cookieKeys: SigningKeys | undefined;
  readonly askOthers: AskOthers | undefined;
};

export const DEFAULTS: ResolvedOptions = {
  onEvent: () => {},
  connectTimeoutMs: 2_000,
  passiveDownMs: 2_000,
  maxPassiveDownMs: 30_000,
  maxResets: 3,
  maxTries: 3,
  maxHeaderBytes: 16 * 1024,
  headersTimeoutMs: 10_000,
  clientIdleTimeoutMs: 610_000,
  maxConnections: 10_000,
  maxConnectionsPerClient: 10_000,
  maxUpgrades: 10_000,
  maxBodyBytes: 0,
  bodyTimeoutMs: 60_000,
  upgradeIdleTimeoutMs: 3_600_000,
  trustedProxies: [],
  decisions: "never",
  proxyProtocol: false,
  handshakeTimeoutMs: 10_000,
  maxIdleUpstream: 256,
  cookieKeys: undefined,
  maxSessions: 100_000,
  sessionIdleMs: 600_000,
  askOthers: undefined,
};

/** @throws IngressError `OPTION_INVALID` for an unknown key, or a value that the option can't have */
export function resolveOptions(options: IngressOptions): ResolvedOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [key, value] of given) {
    if (!Object.hasOwn(DEFAULTS, key)) {
      const known = Object.keys(DEFAULTS).join(", ");
      throw new IngressError("OPTION_INVALID", `the ingress has no option ${key}; it has ${known}`);
    }
    if (key === "onEvent" || key === "askOthers") {
      if (typeof value !== "function") throw new IngressError("OPTION_INVALID", `${key} must be a function`);
    } else if (key === "cookieKeys") {
      // Read below.
    } else if (key === "trustedProxies") {
      const bad = Array.isArray(value) ? value.find((range) => !isRange(String(range))) : value;
      if (bad !== undefined) {
        throw new IngressError("OPTION_INVALID", `trustedProxies: ${bad} is not an IP address or CIDR range`);
      }
    } else if (key === "proxyProtocol") {
      if (typeof value !== "boolean") {
        throw new IngressError("OPTION_INVALID", "proxyProtocol must be true or false");
      }
    } else if (key === "decisions") {
      if (value !== "never" && value !== "asked" && value !== "always") {
        throw new IngressError("OPTION_INVALID", "decisions must be never, asked or always");
      }
    } else if (key === "maxBodyBytes") {
      if (!Number.isSafeInteger(value) || Number(value) < 0) {
        throw new IngressError(
          "OPTION_INVALID",
          "maxBodyBytes must be a whole number, or 0 for any number of bytes",
        );
      }
    } else if (!Number.isSafeInteger(value) || value < 1 || value > 0x7fff_ffff) {
      throw new IngressError("OPTION_INVALID", `${key} must be a whole number from 1 to 2147483647`);
    }
  }
  const { cookieKeys } = options;
  return {
    ...DEFAULTS,
    ...Object.fromEntries(given),
    cookieKeys: cookieKeys && readCookieKeys(cookieKeys),
  };
}
