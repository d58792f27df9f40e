import type { IncomingMessage, ServerResponse } from "node:http";
import type { Endpoint, HealthCheck } from "@holdfast/routing";
import { afterEach, expect, test, vi } from "vitest";
import { modelOf, SERVICE, serviceOf } from "../../test/models.ts";
import { killPods, startPod } from "../../test/pods.ts";
import type { IngressEvent } from "../events.ts";
import { HealthMonitor } from "./health-monitor.ts";

const ADDRESS = "127.0.0.9";
const monitors = new Set<HealthMonitor>();
const wait = { timeout: 5000, interval: 5 };

afterEach(async () => {
  for (const monitor of monitors) monitor.close();
  monitors.clear();
  await killPods();
});

/** Milliseconds between probes: so few that a test is quick, or so many that a second probe can't be meant. */
const SOON = { intervalSec: 0.02, timeoutSec: 5 };
const LATE = { intervalSec: 3600, timeoutSec: 5 };

function modelWith(settings: Partial<HealthCheck>) {
  const { healthCheck } = serviceOf(SERVICE);
  return modelOf({ type: "NONE" }, { healthCheck: { ...healthCheck, ...settings } });
}

function monitorOf(settings: Partial<HealthCheck>, maxProbes = 128) {
  const events: IngressEvent[] = [];
  const lists: (readonly Endpoint[])[] = [];
  const monitor = new HealthMonitor({
    onEndpoints: (id, endpoints) => {
      expect(id).toBe(SERVICE);
      lists.push(endpoints);
    },
    onEvent: (event) => events.push(event),
    maxProbes,
  });
  monitors.add(monitor);
  monitor.apply(modelWith(settings));
  return { monitor, events, lists, healthy: () => lists.at(-1)?.map(({ healthy }) => healthy) };
}

/** A pod whose health check is answered with what is next in line, and then with the last again and again. */
async function podThat(...answers: (number | "hang")[]) {
  const line = [...answers];
  const open: ServerResponse[] = [];
  const pod = await startPod("web-1", {
    address: ADDRESS,
    handle: (_request: IncomingMessage, response) => {
      const answer = line.length > 1 ? line.shift() : line[0];
      if (answer === "hang") open.push(response);
      else response.writeHead(answer ?? 200).end();
    },
  });
  return { ...pod, answer: (...next: (number | "hang")[]) => line.splice(0, line.length, ...next), open };
}

const gone = (endpoint: Endpoint): Endpoint => ({ ...endpoint, healthy: false });

test("an endpoint begins unhealthy, and the first probe that passes makes it healthy, whatever the threshold", async () => {
  const pod = await podThat(200);
  const { monitor, events, lists, healthy } = monitorOf({ ...LATE, healthyThreshold: 5 });
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  expect(lists).toEqual([[gone(pod.endpoint)]]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  const about = { backendService: SERVICE, pod: "web-1", endpoint: `${ADDRESS}:${pod.endpoint.port}` };
  expect(events).toEqual([{ type: "endpoint-healthy", ...about }]);
  expect(monitor.statusOf(SERVICE)).toEqual([{ endpoint: pod.endpoint, judged: true }]);
});

test("an endpoint that isn't well yet is asked again soon, not after its interval, and said to be unhealthy once", async () => {
  const pod = await podThat(503, 503, 200);
  const { monitor, events, healthy } = monitorOf(LATE);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  expect(events).toMatchObject([
    { type: "endpoint-unhealthy", pod: "web-1", cause: "GET /healthz answered 503, want 200" },
    { type: "endpoint-healthy" },
  ]);
});

test("says why an endpoint never gets well", async () => {
  const pod = await podThat(404);
  const { monitor, healthy } = monitorOf({ ...LATE, unhealthyThreshold: 2 });
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  expect(monitor.statusOf(SERVICE)).toEqual([{ endpoint: gone(pod.endpoint), judged: false }]);
  await vi.waitFor(() => expect(monitor.statusOf(SERVICE)[0]?.judged).toBe(true), wait);
  expect(monitor.statusOf(SERVICE)[0]).toEqual({
    endpoint: gone(pod.endpoint),
    judged: true,
    cause: "GET /healthz answered 404, want 200",
  });
  expect(healthy()).toEqual([false]);
});

test("takes so many failures in a row to make it unhealthy, and so many passes to bring it back", async () => {
  const pod = await podThat(200);
  const { monitor, events, healthy } = monitorOf({ ...SOON, unhealthyThreshold: 3, healthyThreshold: 2 });
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  // Flapping: never three failures in a row.
  const before = pod.seen.length;
  pod.answer(500, 500, 200, 500, 500, 200, 200);
  await vi.waitFor(() => expect(pod.seen.length).toBeGreaterThan(before + 8), wait);
  expect(events.map(({ type }) => type)).toEqual(["endpoint-healthy"]);
  // Between the last two failures and the recovery there is one pass, which is not enough.
  pod.answer(500, 500, 500, 200, 500, 200, 200);
  await vi.waitFor(() => expect(events).toHaveLength(3), wait);
  expect(events.map(({ type }) => type)).toEqual([
    "endpoint-healthy",
    "endpoint-unhealthy",
    "endpoint-healthy",
  ]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
});

test("an endpoint that doesn't answer in time is as one that answers wrongly", async () => {
  const pod = await podThat(200);
  const { monitor, events, healthy } = monitorOf({ ...SOON, timeoutSec: 0.1 });
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  pod.answer("hang");
  await vi.waitFor(() => expect(healthy()).toEqual([false]), wait);
  expect(events.at(-1)).toMatchObject({ cause: "GET /healthz took longer than 0.1 s" });
});

test("one that its source calls gone is unhealthy at once and left alone, and asked at once when it is back", async () => {
  const pod = await podThat(200);
  const { monitor, events, healthy } = monitorOf(LATE);
  monitor.setEndpoints(SERVICE, [gone(pod.endpoint)]);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  expect(pod.seen).toHaveLength(1);
  monitor.setEndpoints(SERVICE, [gone(pod.endpoint)]);
  expect(healthy()).toEqual([false]);
  expect(events.at(-1)).toMatchObject({ type: "endpoint-unhealthy", cause: "its pod has ended" });
  expect(monitor.statusOf(SERVICE)).toEqual([{ endpoint: gone(pod.endpoint), judged: true }]);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  expect(pod.seen).toHaveLength(2);
});

test("another pod at the same address has to show that it is well itself", async () => {
  const pod = await podThat(200);
  const { monitor, lists, healthy } = monitorOf(LATE);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  expect(healthy()).toEqual([true]);
  pod.answer(503);
  monitor.setEndpoints(SERVICE, [{ ...pod.endpoint, pod: "web-2" }]);
  expect(lists.at(-1)).toEqual([{ ...pod.endpoint, pod: "web-2", healthy: false }]);
});

test("an endpoint that leaves, or whose backend service does, is asked no more and takes its probe along", async () => {
  const pods = [await podThat("hang"), await podThat("hang")];
  const { monitor, events, lists } = monitorOf({ ...LATE, timeoutSec: 3600 });
  const closed = () => pods.map(({ connections }) => connections.size);
  monitor.setEndpoints(
    SERVICE,
    pods.map(({ endpoint }) => endpoint),
  );
  await vi.waitFor(() => expect(pods.map(({ open }) => open.length)).toEqual([1, 1]), wait);
  monitor.setEndpoints(
    SERVICE,
    pods.slice(1).map(({ endpoint }) => endpoint),
  );
  expect(monitor.probes).toEqual({ running: 1, waiting: 0 });
  await vi.waitFor(() => expect(closed()).toEqual([0, 1]), wait);
  monitor.apply({ backendServices: new Map() });
  expect(monitor.probes).toEqual({ running: 0, waiting: 0 });
  await vi.waitFor(() => expect(closed()).toEqual([0, 0]), wait);
  expect(() => monitor.setEndpoints(SERVICE, [])).toThrowError(
    expect.objectContaining({ code: "BACKEND_SERVICE_UNKNOWN" }),
  );
  expect(events).toEqual([]);
  expect(lists).toHaveLength(2);
});

test("a changed check is asked at once, and the health stays until that finds otherwise", async () => {
  const pod = await startPod("web-1", {
    address: ADDRESS,
    handle: (request, response) => response.writeHead(request.url === "/healthz" ? 200 : 404).end(),
  });
  const { monitor, events, lists, healthy } = monitorOf(LATE);
  monitor.setEndpoints(SERVICE, [pod.endpoint]);
  await vi.waitFor(() => expect(healthy()).toEqual([true]), wait);
  monitor.apply(modelWith(LATE));
  monitor.apply(modelWith({ ...SOON, path: "/wrong", unhealthyThreshold: 2 }));
  expect(lists).toHaveLength(2);
  expect(healthy()).toEqual([true]);
  await vi.waitFor(() => expect(healthy()).toEqual([false]), wait);
  expect(events.at(-1)).toMatchObject({ cause: "GET /wrong answered 404, want 200" });
  expect(pod.seen.slice(0, 3).map(({ url }) => url)).toEqual(["/healthz", "/wrong", "/wrong"]);
});

test("asks thousands of endpoints, few at a time, and hands on what it finds in few lists", {
  timeout: 60_000,
}, async () => {
  let most = 0;
  let open = 0;
  const pod = await startPod("web", {
    address: ADDRESS,
    handle: (_request, response) => {
      most = Math.max(most, ++open);
      response.once("close", () => open--);
      setImmediate(() => response.end());
    },
  });
  // Each a port of its own that is never asked: the check has a port for all.
  const endpoints = Array.from({ length: 2000 }, (_, index) => ({
    address: ADDRESS,
    port: index + 1,
    pod: `web-${index}`,
    healthy: true,
  }));
  const { monitor, lists, healthy } = monitorOf({ ...LATE, port: pod.endpoint.port }, 16);
  const begun = performance.now();
  monitor.setEndpoints(SERVICE, endpoints);
  expect(monitor.probes).toEqual({ running: 16, waiting: 1984 });
  await vi.waitFor(() => expect(healthy()?.every(Boolean)).toBe(true), { timeout: 50_000, interval: 20 });
  const tookMs = performance.now() - begun;
  // A probe's connection may end a little after its verdict.
  expect(most).toBeLessThanOrEqual(32);
  // One when they came, and from then on one in 10 ms; timers keep whole milliseconds only.
  expect(lists.length).toBeLessThanOrEqual(2 + tookMs / 9);
  expect(monitor.probes.waiting).toBe(0);
});

test("endpoints that hang keep none of the others waiting", async () => {
  const dead = await podThat("hang");
  const well = await podThat(200);
  const { monitor, healthy } = monitorOf({ ...SOON, timeoutSec: 0.1, port: 1 }, 1);
  const at = ({ endpoint }: typeof dead, port: number) => ({ ...endpoint, port, healthPort: endpoint.port });
  const hanging = Array.from({ length: 10 }, (_, index) => at(dead, index + 1));
  monitor.setEndpoints(SERVICE, hanging);
  const causes = () => monitor.statusOf(SERVICE).map(({ cause }) => cause ?? "");
  await vi.waitFor(
    () => expect(causes().filter((cause) => /took longer/.test(cause))).toHaveLength(10),
    wait,
  );
  monitor.setEndpoints(SERVICE, [...hanging, at(well, 100)]);
  await vi.waitFor(() => expect(healthy()?.at(-1)).toBe(true), wait);
  const [wellBefore, deadBefore] = [well.seen.length, dead.seen.length];
  await vi.waitFor(() => expect(well.seen.length).toBeGreaterThan(wellBefore + 20), wait);
  // In one queue it would be asked once in eleven times.
  expect(dead.seen.length - deadBefore).toBeLessThan(60);
});

test("endpoints that came together are not asked together again", async () => {
  /** Over how long a time the second probes of 40 endpoints came, in ms. */
  const spread = async () => {
    const pod = await podThat(200);
    const { monitor, healthy } = monitorOf({ ...SOON, intervalSec: 0.5, port: pod.endpoint.port });
    const endpoints = Array.from({ length: 40 }, (_, index) => ({ ...pod.endpoint, port: index + 1 }));
    monitor.setEndpoints(SERVICE, endpoints);
    await vi.waitFor(() => expect(healthy()?.every(Boolean)).toBe(true), wait);
    const asked: number[] = [];
    pod.server.on("request", () => asked.push(performance.now()));
    await vi.waitFor(() => expect(asked.length).toBeGreaterThanOrEqual(40), wait);
    monitor.close();
    return Math.max(...asked) - Math.min(...asked);
  };
  // Where the machine stands still meanwhile, they come together all the same: seldom each time.
  const spreads: number[] = [];
  while (spreads.length < 4 && !spreads.some((ms) => ms > 150)) spreads.push(await spread());
  expect(Math.max(...spreads)).toBeGreaterThan(150);
});

test.each([
  ["an unknown option", { maxProbe: 1 }],
  ["a bound that is none", { maxProbes: 0 }],
])("refuses %s", (_what, options) => {
  expect(() => new HealthMonitor({ onEndpoints: () => {}, ...options })).toThrowError(
    expect.objectContaining({ code: "OPTION_INVALID" }),
  );
});

test("a listener that throws stops nothing", async () => {
  const warnings: string[] = [];
  const warned = (warning: Error) => warnings.push(warning.message);
  process.on("warning", warned);
  try {
    const pod = await podThat(200);
    const monitor = new HealthMonitor({
      onEndpoints: (_id, [endpoint]) => {
        if (endpoint?.healthy) throw new Error("no more lists");
      },
      onEvent: () => {
        throw new Error("no more events");
      },
    });
    monitors.add(monitor);
    monitor.apply(modelWith(SOON));
    monitor.setEndpoints(SERVICE, [pod.endpoint]);
    await vi.waitFor(() => expect(warnings.join()).toMatch(/no more events.*no more lists/), wait);
    const before = pod.seen.length;
    await vi.waitFor(() => expect(pod.seen.length).toBeGreaterThan(before + 2), wait);
  } finally {
    process.off("warning", warned);
  }
});
