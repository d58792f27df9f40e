import type { Endpoint } from "@holdfast/routing";
import { expect, test, vi } from "vitest";
import { randomKeys, seededRandom } from "../../test/random.ts";
import type { IngressEvent } from "../events.ts";
import type { EndpointState } from "./endpoint-state.ts";
import { EndpointTable } from "./endpoint-table.ts";
import type { Hash64 } from "./hash.ts";

const NONE: ReadonlySet<EndpointState> = new Set();

function endpoints(count: number, unhealthy: readonly number[] = []): Endpoint[] {
  return Array.from({ length: count }, (_, index) => ({
    address: `10.0.0.${index + 1}`,
    port: 8080,
    pod: `pod-${index}`,
    healthy: !unhealthy.includes(index),
  }));
}

function tableOf(members: readonly Endpoint[], passiveDownMs = 60_000, maxPassiveDownMs = 60_000) {
  const events: IngressEvent[] = [];
  const table = new EndpointTable({
    backendService: "default/web:80",
    passiveDownMs,
    maxPassiveDownMs,
    maxResets: 3,
    onEvent: (event) => events.push(event),
  });
  table.set(members);
  return { table, events };
}

const podOf = (table: EndpointTable, key: Hash64) => table.ownerOf(key, NONE)?.endpoint.pod;

test("is the same for every ingress, in whatever order it learns of the endpoints", () => {
  const one = tableOf(endpoints(7, [3])).table;
  const other = tableOf(endpoints(2)).table;
  other.set(endpoints(7).reverse());
  other.set(endpoints(7, [3]).reverse());
  for (const key of randomKeys(1000, seededRandom())) expect(podOf(one, key)).toBe(podOf(other, key));
});

test("moves about one key in N when an endpoint is added", () => {
  const keys = randomKeys(10_000, seededRandom());
  const { table } = tableOf(endpoints(4));
  const before = keys.map((key) => podOf(table, key));
  table.set(endpoints(5));
  const moved = keys.filter((key, index) => podOf(table, key) !== before[index]).length;
  // A fifth is 2,000, with a standard deviation of 40; the table itself moves a few per cent more.
  expect(moved).toBeGreaterThan(1_700);
  expect(moved).toBeLessThan(2_900);
});

test("moves the keys of a failed endpoint alone, to all survivors, and back when it recovers", () => {
  const keys = randomKeys(10_000, seededRandom());
  const { table } = tableOf(endpoints(4));
  const before = keys.map((key) => podOf(table, key));
  table.set(endpoints(4, [2]));
  const heirs = new Map<string, number>();
  keys.forEach((key, index) => {
    const pod = podOf(table, key) ?? "";
    if (before[index] !== "pod-2") expect(pod).toBe(before[index]);
    else heirs.set(pod, (heirs.get(pod) ?? 0) + 1);
  });
  expect([...heirs.keys()].sort()).toEqual(["pod-0", "pod-1", "pod-3"]);
  for (const share of heirs.values()) expect(share).toBeGreaterThan(600);
  table.set(endpoints(4));
  expect(keys.map((key) => podOf(table, key))).toEqual(before);
});

test("mints keys that fall on the endpoint they are minted for", () => {
  const { table } = tableOf(endpoints(9, [1]));
  for (let round = 0; round < 90; round++) {
    const member = table.next(NONE);
    if (!member) throw new Error("no endpoint");
    expect(table.ownerOf(table.mintKey(member), NONE)).toBe(member);
  }
});

test("takes turns evenly over the healthy endpoints", () => {
  const { table } = tableOf(endpoints(4, [1]));
  const turns = new Map<string, number>();
  for (let round = 0; round < 30; round++) {
    const pod = table.next(NONE)?.endpoint.pod ?? "";
    turns.set(pod, (turns.get(pod) ?? 0) + 1);
  }
  expect(Object.fromEntries(turns)).toEqual({ "pod-0": 10, "pod-2": 10, "pod-3": 10 });
});

test("passes over an endpoint that could not be connected to, until its time is up", async () => {
  const { table, events } = tableOf(endpoints(2), 30);
  const down = table.next(NONE);
  if (!down) throw new Error("no endpoint");
  table.connectFailed(down, "ECONNREFUSED");
  table.connectFailed(down, "ECONNREFUSED");
  for (let round = 0; round < 4; round++) expect(table.next(NONE)).not.toBe(down);
  const { pod } = down.endpoint;
  const about = { backendService: "default/web:80", pod, endpoint: down.id };
  expect(events).toEqual([{ type: "endpoint-down", ...about, cause: "ECONNREFUSED", ms: 30 }]);
  await vi.waitFor(() => expect(events).toContainEqual({ type: "endpoint-up", ...about, cause: "expired" }));
  expect([table.next(NONE), table.next(NONE)]).toContain(down);
});

test("uses an endpoint at once when it is declared healthy anew, not when it merely stays so", () => {
  const { table, events } = tableOf(endpoints(1));
  table.set(endpoints(2));
  const down = table.next(NONE);
  if (!down) throw new Error("no endpoint");
  table.connectFailed(down, "ECONNREFUSED");
  table.set(endpoints(2));
  expect(events.map(({ type }) => type)).toEqual(["endpoint-down"]);
  table.set(endpoints(2, [0, 1]));
  table.set(endpoints(2));
  expect(events.at(-1)).toMatchObject({ type: "endpoint-up", cause: "healthy" });
});

test("passes an endpoint over for twice as long each time in a row, up to the most, until it answers", async () => {
  const { table, events } = tableOf(endpoints(2), 10, 35);
  const down = table.next(NONE);
  if (!down) throw new Error("no endpoint");
  const downs = () => events.filter((event) => event.type === "endpoint-down").map(({ ms }) => ms);
  for (const count of [1, 2, 3, 4]) {
    table.connectFailed(down, "ETIMEDOUT");
    expect(downs()).toHaveLength(count);
    await vi.waitFor(() => expect(down.down).toBe(false), { interval: 5 });
  }
  expect(downs()).toEqual([10, 20, 35, 35]);
  table.connected(down);
  table.connectFailed(down, "ETIMEDOUT");
  expect(downs().at(-1)).toBe(10);
});

test("passes over an endpoint that ends connections instead of answering, several times in a row", async () => {
  const { table, events } = tableOf(endpoints(2), 20);
  const odd = table.next(NONE);
  if (!odd) throw new Error("no endpoint");
  table.closedUnanswered(odd, "ECONNRESET");
  table.closedUnanswered(odd, "ECONNRESET");
  table.answered(odd);
  for (let round = 0; round < 2; round++) table.closedUnanswered(odd, "ECONNRESET");
  expect(events).toEqual([]);
  table.connected(odd);
  table.closedUnanswered(odd, "ECONNRESET");
  expect(events).toMatchObject([{ type: "endpoint-down", endpoint: odd.id, cause: "ECONNRESET", ms: 20 }]);
  // That it takes connections is no news.
  table.connected(odd);
  expect(odd.down).toBe(true);
  await vi.waitFor(() => expect(odd.down).toBe(false), { interval: 5 });
  table.closedUnanswered(odd, "ECONNRESET");
  expect(events.at(-1)).toMatchObject({ type: "endpoint-down", ms: 40 });
  table.answered(odd);
  expect(events.at(-1)).toMatchObject({ type: "endpoint-up", cause: "answered" });
});

test("picks the less loaded of two, so that none is left behind and none is flooded", () => {
  const { table } = tableOf(endpoints(10, [4]));
  const holds = new Map<EndpointState, number>();
  for (let round = 0; round < 900; round++) {
    const member = table.pickLessLoaded(NONE);
    if (!member) throw new Error("no endpoint");
    member.hold(() => {});
    holds.set(member, member.open);
  }
  const loads = [...holds.values()];
  expect(loads).toHaveLength(9);
  // By chance alone the spread would be some 60; of two choices it is a handful (Mitzenmacher, 2001).
  expect(Math.max(...loads) - Math.min(...loads)).toBeLessThan(20);
  const [one] = holds.keys();
  const others = new Set([...holds.keys()].filter((member) => member !== one));
  expect(table.pickLessLoaded(others)).toBe(one);
  expect(table.pickLessLoaded(new Set(holds.keys()))).toBeUndefined();
});

test("prefers no endpoint to another when all are passed over", () => {
  const { table } = tableOf(endpoints(2));
  for (let round = 0; round < 2; round++) {
    const member = table.next(NONE);
    if (member) table.connectFailed(member, "ECONNREFUSED");
  }
  expect(table.next(NONE)).toBeDefined();
  expect(podOf(table, { hi: 1, lo: 1 })).toBeDefined();
});

test("gives nothing where no endpoint is healthy, or every one was tried", () => {
  const { table } = tableOf(endpoints(1, [0]));
  expect(table.next(NONE)).toBeUndefined();
  expect(table.ownerOf({ hi: 1, lo: 1 }, NONE)).toBeUndefined();
  table.set(endpoints(1));
  const only = table.next(NONE);
  if (!only) throw new Error("no endpoint");
  expect(table.next(new Set([only]))).toBeUndefined();
  expect(table.ownerOf({ hi: 1, lo: 1 }, new Set([only]))).toBeUndefined();
});

test.each([
  [
    "a name for an address",
    [{ address: "web.example", port: 80, pod: "a", healthy: true }],
    "ENDPOINT_INVALID",
  ],
  [
    "a port that is none",
    [{ address: "10.0.0.9", port: 65_536, pod: "a", healthy: true }],
    "ENDPOINT_INVALID",
  ],
  ["one endpoint twice", [...endpoints(1), ...endpoints(1)], "ENDPOINT_INVALID"],
  [
    "too many endpoints",
    Array.from({ length: 4097 }, (_, index) => ({
      address: "10.0.0.1",
      port: index + 1,
      pod: "a",
      healthy: true,
    })),
    "ENDPOINTS_TOO_MANY",
  ],
])("refuses %s and keeps what it had", (_what, bad, code) => {
  const { table } = tableOf(endpoints(2));
  expect(() => table.set(bad)).toThrowError(expect.objectContaining({ code }));
  expect(table.next(NONE)?.endpoint.pod).toMatch(/^pod-/);
});
