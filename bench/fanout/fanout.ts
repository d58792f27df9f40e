import { ensureInstalled } from "../debian-package.ts";
import type { Bench, Measurement, Run } from "../harness.ts";
import { type Row, type Target, target } from "../report.ts";
import { NCHAN_PACKAGES } from "./nchan.ts";
import { CONNECTED, measureNodes, nodesTargets, prepareNodes } from "./nodes/nodes.ts";
import { NCHAN, NODE_SUBJECTS, type Rig, startRig } from "./rig.ts";

const STOCK = "stock Socket.IO";
const HOLDFAST = "Holdfast";

/** How many messages the server is given in one tick. */
const ONE = { name: "one at a time", batch: 1 } as const;
const TEN = { name: "ten at a time", batch: 10 } as const;

/** What Holdfast may use at most of another's CPU time. */
const LIMITS: readonly { readonly mode: string; readonly peer: string; readonly limit: number }[] = [
  { mode: ONE.name, peer: STOCK, limit: 1 / 1.6 },
  { mode: ONE.name, peer: NCHAN, limit: 1 },
  { mode: TEN.name, peer: STOCK, limit: 1 / 6 },
];

/** Those whose latency Holdfast's is held next to. */
const LATENCY_PEERS: readonly string[] = [STOCK, "ws loop"];

/** As a part of the messages measured: enough for the server's code to be compiled before it is timed. */
const WARM_UP = 0.3;

/** Messages per second that a subject took one at a time, by its name: measured before Holdfast, in each run. */
const saturation = new Map<string, number>();

/** One server process, or three, send to many subscribers of one room: what does a delivery cost them? */
export const fanout: Bench = {
  name: "fanout",
  summary:
    "CPU time and latency of one server process, and of three over Redis, for each delivery of a 150-byte message to many WebSocket subscribers",
  // Holdfast last: its latency is measured at rates that follow from the others'.
  subjects: [...NODE_SUBJECTS.keys()]
    .filter((name) => name !== HOLDFAST)
    .concat(NCHAN, HOLDFAST, ...CONNECTED.keys()),
  sections: ["cpu", "latency", "nodes"],
  options: {
    clients: { summary: "subscribers of the one room", default: 500, max: 15_000 },
    messages: { summary: "messages measured in each mode", default: 400, max: 1_000_000 },
  },
  prepare: (subjects, onProgress) => {
    if (subjects.includes(NCHAN)) ensureInstalled(NCHAN_PACKAGES, { onProgress });
    prepareNodes(subjects, onProgress);
  },
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const connection = CONNECTED.get(subject);
  if (connection) return run.wants("nodes") ? measureNodes(connection, run) : [];
  if (!run.wants("cpu") && !run.wants("latency")) return [];
  const rig = await startRig(run, subject, run.option("clients"));
  return [
    ...(run.wants("cpu") ? await measureCpu(subject, run, rig) : []),
    ...(run.wants("latency") ? await measureLatency(subject, run, rig) : []),
  ];
}

async function measureCpu(subject: string, run: Run, rig: Rig): Promise<readonly Measurement[]> {
  const { server, load, pump } = rig;
  const clients = run.option("clients");
  const messages = run.option("messages");
  const measurements: Measurement[] = [];
  // What is published to nchan over HTTP is never of one tick.
  for (const { name, batch } of subject === NCHAN ? [ONE] : [ONE, TEN]) {
    await pump.send(Math.ceil(messages * WARM_UP), batch);
    const deliveries = messages * clients;
    await load.call("begin", { deliveries });
    const cpuBefore = await server.cpuTime();
    const before = performance.now();
    await pump.send(messages, batch);
    const seconds = (performance.now() - before) / 1000;
    const cpu = (await server.cpuTime()) - cpuBefore;
    const { p50, p99 } = await load.call("end", null);
    measurements.push(
      { metric: cpuMetric(name), unit: "µs", value: cpu / deliveries },
      { metric: `deliveries per second, ${name}`, unit: "1/s", value: deliveries / seconds },
      { metric: `latency p50, ${name}`, unit: "ms", value: p50 / 1000 },
      { metric: `latency p99, ${name}`, unit: "ms", value: p99 / 1000 },
    );
  }
  return measurements;
}

/** Of a peer: how many messages it takes in a second, and the latency at half of that. Of Holdfast: at half of theirs. */
async function measureLatency(subject: string, run: Run, rig: Rig): Promise<readonly Measurement[]> {
  const { load, pump } = rig;
  const messages = run.option("messages");
  if (LATENCY_PEERS.includes(subject)) {
    await pump.send(Math.ceil(messages * WARM_UP), 1);
    const before = performance.now();
    await pump.send(messages, 1);
    saturation.set(subject, (messages * 1000) / (performance.now() - before));
  } else if (subject === HOLDFAST) {
    await pump.send(Math.ceil(messages * WARM_UP), 1);
  }
  const measurements: Measurement[] = [];
  for (const peer of subject === HOLDFAST ? LATENCY_PEERS : [subject]) {
    const rate = saturation.get(peer);
    if (rate === undefined) continue;
    await load.call("begin", { deliveries: messages * run.option("clients") });
    await pump.sendAtRate(messages, rate / 2);
    const { p50, p99 } = await load.call("end", null);
    measurements.push(
      { metric: latencyMetric("p50", peer), unit: "ms", value: p50 / 1000 },
      { metric: latencyMetric("p99", peer), unit: "ms", value: p99 / 1000 },
    );
  }
  return measurements;
}

/** Those whose figures there are: not every run measures every subject and section. */
function targets(rows: readonly Row[]): readonly Target[] {
  const against = (metric: string, peer: string, limit: number): Target[] => {
    const [ours, theirs] = [HOLDFAST, peer].map(
      (subject) => rows.find((row) => row.subject === subject && row.metric === metric)?.median,
    );
    if (ours === undefined || theirs === undefined) return [];
    return [target(`${metric}: ${HOLDFAST} against ${peer}`, ours / theirs, limit, "ratio")];
  };
  return [
    ...LIMITS.flatMap(({ mode, peer, limit }) => against(cpuMetric(mode), peer, limit)),
    ...LATENCY_PEERS.flatMap((peer) => against(latencyMetric("p99", peer), peer, 1)),
    ...nodesTargets(rows),
  ];
}

function cpuMetric(mode: string): string {
  return `server CPU per delivery, ${mode}`;
}

function latencyMetric(part: string, peer: string): string {
  return `latency ${part} at half of ${peer}'s rate`;
}
