import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  COOKIE_KEY,
  endpoints,
  factsOf,
  meansOf,
  NONE,
  pinned,
  policyOf,
  returned,
  tableOf,
} from "../../test/affinity.ts";
import type { EndpointState } from "../endpoints/endpoint-state.ts";
import { cookieName } from "./pinned-endpoint.ts";

const START = Date.UTC(2026, 0, 1);
const NEW_KEY = { id: "k2", secret: "another secret, of thirty-two bytes and more" };

beforeEach(() => vi.useFakeTimers({ now: START, toFake: ["Date"] }));
afterEach(() => vi.useRealTimers());

const means = () => meansOf({ cookieKeys: [COOKIE_KEY] });
const policy = (cookie: Parameters<typeof pinned>[0] = {}) => policyOf(pinned(cookie), {}, means());

describe("the cookie", () => {
  test("shows neither the endpoint's address nor the pod's name", () => {
    const setCookie = policy().choose(tableOf(endpoints(1)), factsOf(), NONE)?.setCookie ?? "";
    expect(setCookie).toMatch(
      /^holdfast-[\w-]{6}=v1\.k1\.[\w-]{11}\.[0-9a-z]{8}\.[\w-]{22}; Path=\/; HttpOnly$/,
    );
    expect(setCookie).not.toMatch(/10\.0|8080|pod-/);
    const decoded = Buffer.from(setCookie.split(".")[2] ?? "", "base64url").toString("latin1");
    expect(decoded).not.toMatch(/10\.0|8080|pod-/);
  });

  test.each([
    [{}, false, "Path=/; HttpOnly"],
    [{}, true, "Path=/; HttpOnly; Secure"],
    [{ secure: false }, true, "Path=/; HttpOnly"],
    [
      { secure: true, sameSite: "None", ttlSec: 60, path: "/chat" },
      false,
      "Path=/chat; Max-Age=60; HttpOnly; Secure; SameSite=None",
    ],
    [{ domain: "example.com", sameSite: "Lax" }, false, "Path=/; Domain=example.com; HttpOnly; SameSite=Lax"],
  ] as const)("with %j, over HTTPS: %s, has the attributes %s", (cookie, secure, attributes) => {
    const choice = policy(cookie).choose(tableOf(endpoints(1)), factsOf({ secure }), NONE);
    expect(choice?.setCookie?.replace(/^[\w-]+=[\w.-]+; /, "")).toBe(attributes);
  });

  test.each([
    { name: "a b" },
    { name: "a;b" },
    { path: "/;x" },
    { path: "x" },
    { path: "/\r\nX: y" },
    { domain: "a;b" },
    { ttlSec: -1 },
    { ttlSec: 1.5 },
    { sameSite: "Lax; Secure" as "Lax" },
  ])("can't be given %j", (cookie) => {
    expect(() => policy(cookie)).toThrowError(expect.objectContaining({ code: "MODEL_INVALID" }));
  });

  test("is not issued, and not renewed, on a CORS preflight", () => {
    const table = tableOf(endpoints(2));
    const ours = policy({ ttlSec: 100 });
    const facts = factsOf({ method: "OPTIONS", preflight: true });
    expect(ours.choose(table, facts, NONE)).toEqual({ state: expect.anything(), reason: "new" });
    const cookieHeader = returned(ours.choose(table, factsOf(), NONE)?.setCookie);
    vi.setSystemTime(START + 50_000);
    const again = ours.choose(table, { ...facts, cookieHeader }, NONE);
    expect(again).toEqual({ state: expect.anything(), reason: "cookie" });
  });
});

describe("affinity", () => {
  test("keeps to the endpoint, for every ingress with the same keys, whatever is added", () => {
    for (let count = 2; count <= 20; count++) {
      const table = tableOf(endpoints(count));
      const clients = Array.from({ length: 50 }, () => policy().choose(table, factsOf(), NONE));
      const larger = tableOf(endpoints(count + 1).reverse());
      const other = policy();
      for (const client of clients) {
        const cookieHeader = returned(client?.setCookie);
        const choice = other.choose(larger, factsOf({ cookieHeader }), NONE);
        expect(choice?.state.id).toBe(client?.state.id);
        expect(choice).toEqual({ state: expect.anything(), reason: "cookie" });
      }
    }
  });

  test("spreads the clients of an endpoint that can't be used over the others, and has them back", () => {
    const table = tableOf(endpoints(5));
    const ours = policy();
    const headers: string[] = [];
    for (let client = 0; client < 400; client++) {
      vi.setSystemTime(START + client);
      const choice = ours.choose(table, factsOf(), NONE);
      if (choice?.state.endpoint.pod === "pod-2") headers.push(returned(choice.setCookie));
    }
    const choose = () => headers.map((cookieHeader) => ours.choose(table, factsOf({ cookieHeader }), NONE));

    table.set(endpoints(5, [2]));
    const away = choose();
    expect(new Set(away.map((choice) => choice?.state.endpoint.pod)).size).toBe(4);
    for (const choice of away) expect(choice).toEqual({ state: expect.anything(), reason: "failed-over" });
    expect(choose().map((choice) => choice?.state)).toEqual(away.map((choice) => choice?.state));
    table.set(endpoints(5));
    for (const choice of choose())
      expect(choice).toMatchObject({ reason: "cookie", state: { id: "10.0.0.3:8080" } });
  });

  test("keeps the cookie while its endpoint is only passed over, and issues another once it is removed", () => {
    const table = tableOf(endpoints(3));
    const ours = policy();
    const first = ours.choose(table, factsOf(), NONE);
    const facts = factsOf({ cookieHeader: returned(first?.setCookie) });
    table.connectFailed(first?.state as EndpointState, "ECONNREFUSED");
    expect(ours.choose(table, facts, NONE)).toEqual({ state: expect.anything(), reason: "failed-over" });
    table.set(endpoints(3).filter(({ pod }) => pod !== first?.state.endpoint.pod));
    const next = ours.choose(table, facts, NONE);
    expect(next).toMatchObject({ reason: "new", setCookie: expect.any(String) });
    const again = ours.choose(table, factsOf({ cookieHeader: returned(next?.setCookie) }), NONE);
    expect(again).toEqual({ state: next?.state, reason: "cookie" });
  });

  test("goes elsewhere after a failed try without another cookie, and gives up when all were tried", () => {
    const table = tableOf(endpoints(2));
    const ours = policy();
    const first = ours.choose(table, factsOf(), NONE);
    const facts = factsOf({ cookieHeader: returned(first?.setCookie) });
    const tried = new Set([first?.state as EndpointState]);
    const second = ours.choose(table, facts, tried);
    expect(second?.state).not.toBe(first?.state);
    expect(second).toEqual({ state: expect.anything(), reason: "failed-over" });
    expect(ours.choose(table, facts, new Set(table.members))).toBeUndefined();
    expect(ours.choose(table, factsOf(), tried)).toMatchObject({
      reason: "failed-over",
      setCookie: expect.any(String),
    });
  });

  test("sends new clients to endpoints that have less to do, such as one that was just added", () => {
    const table = tableOf(endpoints(4));
    for (const member of table.members) for (let open = 0; open < 100; open++) member.hold(() => {});
    table.set(endpoints(5));
    const ours = policy();
    const counts = new Map<string, number>();
    for (let client = 0; client < 240; client++) {
      const state = ours.choose(table, factsOf(), NONE)?.state as EndpointState;
      state.hold(() => {});
      counts.set(state.endpoint.pod, (counts.get(state.endpoint.pod) ?? 0) + 1);
    }
    // The new one is among the two that are drawn in 2 of 5 cases, so 96 are expected, give or take 8; by turns 48.
    expect(counts.get("pod-4")).toBeGreaterThan(60);
  });
});

describe("a cookie that counts for none", () => {
  const table = tableOf(endpoints(3));
  const value = returned(policy({ ttlSec: 100 }).choose(table, factsOf(), NONE)?.setCookie);

  test("is one with any of its characters changed", () => {
    const ours = policy({ ttlSec: 100 });
    expect(ours.choose(table, factsOf({ cookieHeader: value }), NONE)?.reason).toBe("cookie");
    for (let index = value.indexOf("=") + 1; index < value.length; index++) {
      for (const character of ["A", "B", "."]) {
        if (value[index] === character) continue;
        const cookieHeader = value.slice(0, index) + character + value.slice(index + 1);
        const choice = ours.choose(table, factsOf({ cookieHeader }), NONE);
        expect(choice).toMatchObject({ reason: "new", setCookie: expect.any(String) });
      }
    }
  });

  test("is one of another backend service", () => {
    const other = policyOf(pinned(), { backendService: "default/api:80" }, means());
    const renamed = value.replace(/^[^=]+/, cookieName("holdfast", "default/api:80"));
    for (const cookieHeader of [value, renamed]) {
      expect(other.choose(table, factsOf({ cookieHeader }), NONE)?.reason).toBe("new");
    }
  });

  test("is one by a key that isn't ours, though it has the same id", () => {
    const other = policyOf(pinned(), {}, meansOf({ cookieKeys: [{ ...NEW_KEY, id: COOKIE_KEY.id }] }));
    expect(other.choose(table, factsOf({ cookieHeader: value }), NONE)?.reason).toBe("new");
  });

  test("is one past its time, also when it was seen before", () => {
    const ours = policy({ ttlSec: 100 });
    const facts = factsOf({ cookieHeader: returned(ours.choose(table, factsOf(), NONE)?.setCookie) });
    vi.setSystemTime(START + 100_000);
    expect(ours.choose(table, facts, NONE)?.reason).toBe("cookie");
    vi.setSystemTime(START + 100_001);
    expect(ours.choose(table, facts, NONE)).toMatchObject({ reason: "new", setCookie: expect.any(String) });
  });
});

describe("renewal", () => {
  test("comes once a tenth of the cookie's time has passed, for the same endpoint", () => {
    const table = tableOf(endpoints(5));
    const ours = policy({ ttlSec: 100 });
    const first = ours.choose(table, factsOf(), NONE);
    let cookieHeader = returned(first?.setCookie);
    vi.setSystemTime(START + 10_000);
    expect(ours.choose(table, factsOf({ cookieHeader }), NONE)?.setCookie).toBeUndefined();
    for (let round = 1; round < 30; round++) {
      vi.setSystemTime(START + round * 10_001);
      const choice = ours.choose(table, factsOf({ cookieHeader }), NONE);
      expect(choice).toMatchObject({ state: first?.state, reason: "cookie" });
      cookieHeader = returned(choice?.setCookie);
    }
  });

  test("is never due for a cookie that lasts as long as the browser's session", () => {
    const table = tableOf(endpoints(5));
    const ours = policy();
    const cookieHeader = returned(ours.choose(table, factsOf(), NONE)?.setCookie);
    vi.setSystemTime(START + 1_000_000_000);
    const choice = ours.choose(table, factsOf({ cookieHeader }), NONE);
    expect(choice).toEqual({ state: expect.anything(), reason: "cookie" });
  });

  test("signs with the first key what another one signed; without that one the cookie is none", () => {
    const table = tableOf(endpoints(9));
    const first = policy().choose(table, factsOf(), NONE);
    const both = policyOf(pinned(), {}, meansOf({ cookieKeys: [NEW_KEY, COOKIE_KEY] }));
    const facts = factsOf({ cookieHeader: returned(first?.setCookie) });
    const second = both.choose(table, facts, NONE);
    expect(second).toMatchObject({ state: first?.state, reason: "cookie" });
    const renewed = factsOf({ cookieHeader: returned(second?.setCookie) });
    expect(renewed.cookieHeader).toMatch(/^holdfast-[\w-]{6}=v1\.k2\./);
    expect(both.choose(table, renewed, NONE)).toEqual({ state: first?.state, reason: "cookie" });
    const after = policyOf(pinned(), {}, meansOf({ cookieKeys: [NEW_KEY] }));
    expect(after.choose(table, renewed, NONE)).toEqual({ state: first?.state, reason: "cookie" });
    expect(after.choose(table, facts, NONE)?.reason).toBe("new");
  });
});

test("remembers a bounded number of cookies, and verifies the others again", () => {
  const table = tableOf(endpoints(3));
  const issuer = policy();
  const cookies = Array.from({ length: 9_000 }, (_, client) => {
    vi.setSystemTime(START + client);
    return issuer.choose(table, factsOf(), NONE);
  });
  const ours = policy();
  for (let round = 0; round < 2; round++) {
    const moved = cookies.filter((cookie) => {
      const choice = ours.choose(table, factsOf({ cookieHeader: returned(cookie?.setCookie) }), NONE);
      return choice?.state !== cookie?.state;
    });
    expect(moved).toEqual([]);
  }
});
