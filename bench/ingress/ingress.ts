import { ensureInstalled } from "../debian-package.ts";
import type { Bench, Measurement, Run } from "../harness.ts";
import { type Row, type Target, target } from "../report.ts";
import type { Dialect } from "./calls.ts";
import { type Growth, measureGrowth, measureIdle } from "./memory-sections.ts";
import { PEERS } from "./peers.ts";
import { startRig } from "./rig.ts";

const HOLDFAST = "Holdfast";
const HAPROXY = "HAProxy";
const NGINX = "nginx";

/** What is exchanged in each of the sections that are about speed. */
const EXCHANGES: Readonly<Record<string, { readonly dialect: Dialect; readonly unit: string }>> = {
  http: { dialect: "http", unit: "HTTP request" },
  websocket: { dialect: "webSocket", unit: "WebSocket round trip" },
};
const CPU_PER_REQUEST = cpuMetric("HTTP request");
const CPU_PER_ROUND_TRIP = cpuMetric("WebSocket round trip");

/** Only they are held next to each other with many idle WebSockets. */
const IDLE_SUBJECTS: readonly string[] = [HOLDFAST, HAPROXY, NGINX];
const MEMORY_PER_IDLE = "memory per idle WebSocket";

const GROWTH: Readonly<Record<keyof Growth, string>> = {
  requests: "memory growth over the requests",
  connections: "memory growth over the connections",
};
/** A process that has just been warmed still moves by some MiB; a leak of 11 bytes a request can't hide in that. */
const GROWTH_LIMIT_MIB = 10;
const MIB = 1024 * 1024;

/** What Holdfast may use at most of a peer's CPU time. */
const RATIOS: readonly { readonly metric: string; readonly peer: string; readonly limit: number }[] = [
  { metric: CPU_PER_REQUEST, peer: HAPROXY, limit: 1.7 },
  { metric: CPU_PER_REQUEST, peer: "Caddy", limit: 1 / 2 },
  { metric: CPU_PER_REQUEST, peer: "http-proxy", limit: 1 / 3 },
  { metric: CPU_PER_ROUND_TRIP, peer: HAPROXY, limit: 1.35 },
  { metric: CPU_PER_ROUND_TRIP, peer: "http-proxy", limit: 1 },
];

/** Exchanges of each client: enough for the proxy's code to be compiled, however busy the machine is. */
const WARM_UP_EXCHANGES = 300;

/** A proxy between many clients and a pod: what do a request, a message and a connection cost it? */
export const ingress: Bench = {
  name: "ingress",
  summary: "CPU time, latency and memory of one proxy process on one core, between clients and a pod",
  subjects: [HOLDFAST, ...PEERS.keys(), "http-proxy"],
  sections: [...Object.keys(EXCHANGES), "idle", "growth"],
  runs: 3,
  options: {
    clients: { summary: "connections that requests and messages are sent over", default: 64, max: 1000 },
    seconds: { summary: "time measured, for requests and again for messages", default: 2, max: 600 },
    idle: { summary: "idle WebSockets (first run only)", default: 8000, max: 50_000 },
    requests: { summary: "requests that memory may not grow with (first run only)", default: 1e6, max: 1e9 },
    connections: {
      summary: "connections that memory may not grow with (first run only)",
      default: 100_000,
      max: 1e9,
    },
  },
  prepare: (subjects, onProgress) =>
    ensureInstalled(
      subjects.flatMap((subject) => PEERS.get(subject)?.debianPackage ?? []),
      { onProgress },
    ),
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const measurements: Measurement[] = [];
  for (const [section, { dialect, unit }] of Object.entries(EXCHANGES)) {
    if (run.wants(section)) measurements.push(...(await measureExchanges(subject, run, dialect, unit)));
  }
  // Memory hardly varies from run to run, and takes long.
  if (run.number > 1) return measurements;
  if (run.wants("idle") && IDLE_SUBJECTS.includes(subject)) {
    const bytes = await measureIdle(subject, run);
    measurements.push({ metric: MEMORY_PER_IDLE, unit: "KiB", value: bytes / 1024 });
  }
  if (run.wants("growth") && subject === HOLDFAST) {
    const growth = await measureGrowth(subject, run);
    measurements.push(
      { metric: GROWTH.requests, unit: "MiB", value: growth.requests / MIB },
      { metric: GROWTH.connections, unit: "MiB", value: growth.connections / MIB },
    );
  }
  return measurements;
}

async function measureExchanges(
  subject: string,
  run: Run,
  dialect: Dialect,
  unit: string,
): Promise<readonly Measurement[]> {
  const connections = run.option("clients");
  const milliseconds = run.option("seconds") * 1000;
  const { proxy, port, load, stop } = await startRig(run, subject, connections);
  await load.call("open", { port, dialect, connections });
  await load.call("exchange", { count: connections * WARM_UP_EXCHANGES });
  const cpuBefore = await proxy.cpuTime();
  const { count, seconds, p50, p99 } = await load.call("exchange", { milliseconds });
  const cpu = (await proxy.cpuTime()) - cpuBefore;
  await load.call("close", null);
  await stop();
  return [
    { metric: cpuMetric(unit), unit: "µs", value: cpu / count },
    { metric: `${unit}s per second`, unit: "1/s", value: count / seconds },
    { metric: `the proxy's core in use, ${unit}s`, unit: "%", value: cpu / seconds / 10_000 },
    { metric: `latency p50, ${unit}`, unit: "ms", value: p50 },
    { metric: `latency p99, ${unit}`, unit: "ms", value: p99 },
  ];
}

/** Those whose figures there are: not every run measures every subject and section. */
function targets(rows: readonly Row[]): readonly Target[] {
  const median = (subject: string, metric: string) =>
    rows.find((row) => row.subject === subject && row.metric === metric)?.median;
  const found: Target[] = [];
  for (const { metric, peer, limit } of RATIOS) {
    const [ours, theirs] = [median(HOLDFAST, metric), median(peer, metric)];
    if (ours === undefined || theirs === undefined) continue;
    found.push(target(`${metric}: ${HOLDFAST} against ${peer}`, ours / theirs, limit, "ratio"));
  }
  for (const metric of Object.values(GROWTH)) {
    const value = median(HOLDFAST, metric);
    if (value !== undefined) found.push(target(metric, value, GROWTH_LIMIT_MIB, "MiB"));
  }
  return found;
}

function cpuMetric(unit: string): string {
  return `proxy's CPU per ${unit}`;
}
