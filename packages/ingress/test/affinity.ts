import type { Affinity, Endpoint, PinnedCookie } from "@holdfast/routing";
import type { AffinityFacts } from "../src/affinity/affinity.ts";
import {
  type AffinityMeans,
  AffinityPolicy,
  type AffinitySettings,
} from "../src/affinity/affinity-policy.ts";
import { type CookieKey, randomCookieKey, readCookieKeys } from "../src/affinity/cookie-keys.ts";
import { SessionTable } from "../src/affinity/session-table.ts";
import type { EndpointState } from "../src/endpoints/endpoint-state.ts";
import { EndpointTable } from "../src/endpoints/endpoint-table.ts";
import { SERVICE } from "./models.ts";

export const NONE: ReadonlySet<EndpointState> = new Set();

export function endpoints(count: number, unhealthy: readonly number[] = []): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `10.0.0.${index + 1}`,
    port: 8080,
    pod: `pod-${index}`,
    healthy: !unhealthy.includes(index),
  }));
}

export function tableOf(members: readonly Endpoint[], backendService = SERVICE): EndpointTable {
  const table = new EndpointTable({
    backendService,
    passiveDownMs: 60_000,
    maxPassiveDownMs: 60_000,
    maxResets: 3,
    onEvent: () => {},
  });
  table.set(members);
  return table;
}

export function factsOf(facts: Partial<AffinityFacts> = {}): AffinityFacts {
  return {
    cookieHeader: undefined,
    client: "192.0.2.1",
    address: "198.51.100.1",
    method: "GET",
    path: "/",
    query: "",
    preflight: false,
    secure: false,
    ...facts,
  };
}

export const COOKIE_KEY: CookieKey = { id: "k1", secret: "0123456789abcdef0123456789abcdef" };

export function meansOf(
  means: Partial<AffinityMeans> & { cookieKeys?: readonly CookieKey[] } = {},
): AffinityMeans {
  const { cookieKeys = [randomCookieKey()], ...rest } = means;
  return {
    keys: readCookieKeys(cookieKeys),
    sessions: new SessionTable(1000, 60_000),
    search: undefined,
    ...rest,
  };
}

export function policyOf(
  affinity: Affinity,
  settings: Partial<AffinitySettings> = {},
  means: AffinityMeans = meansOf(),
): AffinityPolicy {
  const face = affinity.type === "PINNED_COOKIE" ? "holdfast" : "gce";
  return new AffinityPolicy(
    { backendService: SERVICE, affinity, face, sessionAffinity: false, ...settings },
    means,
  );
}

export function pinned(cookie: Partial<PinnedCookie> = {}): Affinity {
  return {
    type: "PINNED_COOKIE",
    cookie: { name: "holdfast", ttlSec: 0, path: "/", secure: "auto", ...cookie },
  };
}

/** A `Set-Cookie` value as a `Cookie` header would return it. */
export function returned(setCookie: string | undefined): string {
  if (setCookie === undefined) throw new Error("no cookie was issued");
  return setCookie.split(";")[0] ?? "";
}
