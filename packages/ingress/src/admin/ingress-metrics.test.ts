import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RequestEvent } from "../events.ts";
import type { IngressStatus } from "../status.ts";
import { IngressMetrics, MAX_PAIRS } from "./ingress-metrics.ts";
import { metricsText, totalsOf } from "./metric-family.ts";

const IDLE: IngressStatus = { listeners: [], endpoints: [], upgrades: 0, upstreamConnections: 0 };

const request: RequestEvent = {
  type: "request",
  loadBalancer: "default/web",
  client: "192.0.2.1",
  method: "GET",
  host: "example.com",
  path: "/",
  backendService: "default/web:80",
  pod: "web-0",
  reason: "cookie",
  outcome: "answered",
  status: 200,
  tries: 1,
  ms: 3,
};

const PAIR = 'ingress="default/web",backend_service="default/web:80"';

/** Metric lines by name and labels, without the prefix. */
async function linesOf(snapshots: readonly (readonly object[])[]): Promise<Map<string, number>> {
  const lines = (await metricsText(snapshots))
    .split("\n")
    .filter((line) => line.startsWith("holdfast_ingress_"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice("holdfast_ingress_".length, at), Number(line.slice(at + 1))];
    }),
  );
}

test("counts requests by where they went, how they ended and why", async () => {
  const metrics = new IngressMetrics();
  metrics.observe(request);
  metrics.observe({ ...request, reason: "failed-over", tries: 3, ms: 70_000 });
  metrics.observe({ ...request, outcome: "timeout", status: 504 });
  const { reason: _, backendService: __, pod: ___, ...unrouted } = request;
  metrics.observe({ ...unrouted, outcome: "no-route", status: 404 });
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  expect(Object.fromEntries(lines)).toMatchObject({
    [`requests_total{${PAIR},code="200",outcome="answered"}`]: 2,
    [`requests_total{${PAIR},code="504",outcome="timeout"}`]: 1,
    'requests_total{ingress="default/web",backend_service="",code="404",outcome="no-route"}': 1,
    [`retries_total{${PAIR}}`]: 2,
    [`affinity_decisions_total{${PAIR},reason="cookie"}`]: 2,
    [`affinity_decisions_total{${PAIR},reason="failed-over"}`]: 1,
  });
});

test("puts a request's time in the buckets that it is within", async () => {
  const metrics = new IngressMetrics();
  for (const ms of [1, 3, 61_000]) metrics.observe({ ...request, ms });
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  const bucket = (le: string) =>
    lines.get(`request_duration_seconds_bucket{le="${le}",${PAIR}}`) ??
    lines.get(`request_duration_seconds_bucket{${PAIR},le="${le}"}`);
  expect(["0.001", "0.0025", "0.005", "60", "+Inf"].map(bucket)).toEqual([1, 1, 2, 2, 3]);
  expect(lines.get(`request_duration_seconds_count{${PAIR}}`)).toBe(3);
  expect(lines.get(`request_duration_seconds_sum{${PAIR}}`)).toBeCloseTo(61.004);
});

test("counts upgrades while they are open, and by who ended them", async () => {
  const metrics = new IngressMetrics();
  const upgrade = { ...request, status: 101 };
  for (let count = 0; count < 3; count++) metrics.observe(upgrade);
  const { loadBalancer, client, pod } = request;
  const closed = { loadBalancer, client, pod: pod ?? "", backendService: "default/web:80", ms: 1 };
  metrics.observe({ type: "upgrade-closed", ...closed, cause: "timeout" });
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  expect(lines.get(`upgrades_open{${PAIR}}`)).toBe(2);
  expect(lines.get(`upgrades_closed_total{${PAIR},cause="timeout"}`)).toBe(1);
  expect(lines.get(`requests_total{${PAIR},code="101",outcome="answered"}`)).toBe(3);
  expect(lines.get(`request_duration_seconds_count{${PAIR}}`)).toBe(0);
});

test("counts the bytes of bodies and of ended upgrades", async () => {
  const metrics = new IngressMetrics();
  metrics.observe({ ...request, bytesIn: 5, bytesOut: 100 });
  const about = { loadBalancer: "default/web", backendService: "default/web:80", client: "", pod: "" };
  metrics.observe({ type: "upgrade-closed", ...about, cause: "pod", ms: 1, bytesIn: 10, bytesOut: 20 });
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  expect(lines.get(`received_bytes_total{${PAIR}}`)).toBe(15);
  expect(lines.get(`sent_bytes_total{${PAIR}}`)).toBe(120);
});

test("docs/ingress.md has every metric, and no other", () => {
  const page = readFileSync(join(import.meta.dirname, "../../../../docs/ingress.md"), "utf8");
  const described = [...page.matchAll(/^\| `(holdfast_ingress_\w+)` \| (\w+) \|/gm)].map(
    ([, name, type]) => `${type} ${name}`,
  );
  const listeners = [{ loadBalancer: "", tls: false, open: 0, accepted: 0 }];
  const families = new IngressMetrics().snapshot({ ...IDLE, listeners });
  expect(described).toEqual([
    ...families.map(({ name, type }) => `${type} ${name}`),
    "counter holdfast_ingress_log_lines_dropped_total",
    "gauge holdfast_ingress_workers",
    "counter holdfast_ingress_worker_restarts_total",
  ]);
});

test("counts refusals by their cause", async () => {
  const metrics = new IngressMetrics();
  const refused = { type: "refused", loadBalancer: "default/web", client: "192.0.2.1", status: 431 } as const;
  metrics.observe({ ...refused, cause: "head-too-large" });
  metrics.observe({ ...refused, cause: "head-too-large" });
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  expect(lines.get('refused_total{ingress="default/web",cause="head-too-large"}')).toBe(2);
});

test("tells of connections and endpoints as they are now", async () => {
  const listeners = [{ loadBalancer: "default/web", tls: true, open: 2, accepted: 7 }];
  const endpoint = { backendService: "default/web:80", pod: "web-0", endpoint: "10.0.0.1:80" };
  const endpoints = [{ ...endpoint, healthy: true, down: false, open: 3 }];
  const snapshot = new IngressMetrics().snapshot({ ...IDLE, listeners, endpoints });
  const lines = await linesOf([snapshot, snapshot]);
  const labels = 'backend_service="default/web:80",pod="web-0",endpoint="10.0.0.1:80"';
  expect(Object.fromEntries(lines)).toMatchObject({
    'connections_open{ingress="default/web",protocol="https"}': 4,
    'connections_total{ingress="default/web",protocol="https"}': 14,
    [`endpoint_healthy{${labels}}`]: 1,
    [`endpoint_passed_over{${labels}}`]: 0,
    [`endpoint_open{${labels}}`]: 6,
  });
});

test("makes no label of what a client or a pod chose", async () => {
  const metrics = new IngressMetrics();
  const before = [...(await linesOf([metrics.snapshot(IDLE)])).keys()].length;
  for (let count = 0; count < 1000; count++) {
    metrics.observe({
      ...request,
      host: `h${count}`,
      path: `/${count}`,
      method: `M${count}`,
      client: `c${count}`,
    });
    metrics.observe({ ...request, status: count % 900, pod: `pod-${count}` });
  }
  const lines = await linesOf([metrics.snapshot(IDLE)]);
  expect(lines.size - before).toBeLessThan(120);
});

test("counts what is past its bound as other", async () => {
  const metrics = new IngressMetrics();
  for (let count = 0; count < MAX_PAIRS + 5; count++) {
    metrics.observe({ ...request, backendService: `default/web:${count}` });
  }
  const requests = metrics.snapshot(IDLE).find(({ name }) => name.endsWith("requests_total"))?.values;
  expect(requests).toHaveLength(MAX_PAIRS + 1);
  expect(requests?.at(-1)).toMatchObject({ labels: { ingress: "other" }, value: 5 });
});

test("keeps what an ended process has counted, and not what it had open", async () => {
  const [ended, living] = [new IngressMetrics(), new IngressMetrics()];
  ended.observe({ ...request, status: 101 });
  living.observe({ ...request, status: 101 });
  const totals = await totalsOf([await totalsOf([ended.snapshot(IDLE)]), ended.snapshot(IDLE)]);
  const lines = await linesOf([totals, living.snapshot(IDLE)]);
  expect(lines.get(`requests_total{${PAIR},code="101",outcome="answered"}`)).toBe(3);
  expect(lines.get(`upgrades_open{${PAIR}}`)).toBe(1);
});
