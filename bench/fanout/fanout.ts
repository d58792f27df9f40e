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

/** Each subject's messages are sent in so many turns, between those of the others. */
const TURNS = 8;

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
  measureInTurns: measureCpu,
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const connection = CONNECTED.get(subject);
  if (connection) return run.wants("nodes") ? measureNodes(connection, run) : [];
  if (!run.wants("latency")) return [];
  return measureLatency(subject, run, await startRig(run, subject, run.option("clients")));
}

/** What one subject's turns have come to in one mode. */
interface Sum {
  cpu: number;
  milliseconds: number;
}

async function measureCpu(
  subjects: readonly string[],
  run: Run,
): Promise<ReadonlyMap<string, readonly Measurement[]>> {
  const measured = new Map<string, readonly Measurement[]>();
  if (!run.wants("cpu")) return measured;
  const rigs = new Map<string, Rig>();
  for (const subject of subjects) {
    if (!CONNECTED.has(subject)) rigs.set(subject, await startRig(run, subject, run.option("clients")));
  }
  for (const { name, batch } of [ONE, TEN]) {
    // What is published to nchan over HTTP is never of one tick.
    const own = [...rigs].filter(([subject]) => batch === 1 || subject !== NCHAN);
    for (const [subject, measurements] of await measureMode(own, run, name, batch)) {
      measured.set(subject, [...(measured.get(subject) ?? []), ...measurements]);
    }
  }
  return measured;
}

async function measureMode(
  rigs: readonly (readonly [string, Rig])[],
  run: Run,
  name: string,
  batch: number,
): Promise<[string, Measurement[]][]> {
  const messages = run.option("messages");
  const deliveries = messages * run.option("clients");
  const sums = rigs.map((): Sum => ({ cpu: 0, milliseconds: 0 }));
  for (const [, { load, pump }] of rigs) {
    await pump.send(Math.ceil(messages * WARM_UP), batch);
    await load.call("begin", { deliveries });
    await load.call("note", false);
  }
  for (let turn = 0; turn < TURNS; turn++) {
    const part = Math.floor((messages * (turn + 1)) / TURNS) - Math.floor((messages * turn) / TURNS);
    for (let place = 0; place < rigs.length; place++) {
      // Nobody always comes after the same one.
      const index = (place + turn) % rigs.length;
      const [rig, sum] = [rigs[index]?.[1], sums[index]];
      if (rig && sum && part > 0) await takeTurn(rig, part, batch, sum);
    }
  }
  return Promise.all(
    rigs.map(async ([subject, { load }], index): Promise<[string, Measurement[]]> => {
      const { cpu, milliseconds } = sums[index] as Sum;
      const { p50, p99 } = await load.call("end", null);
      return [
        subject,
        [
          { metric: cpuMetric(name), unit: "µs", value: cpu / deliveries },
          {
            metric: `deliveries per second, ${name}`,
            unit: "1/s",
            value: (deliveries * 1000) / milliseconds,
          },
          { metric: `latency p50, ${name}`, unit: "ms", value: p50 / 1000 },
          { metric: `latency p99, ${name}`, unit: "ms", value: p99 / 1000 },
        ],
      ];
    }),
  );
}

async function takeTurn(
  { server, load, pump }: Rig,
  messages: number,
  batch: number,
  sum: Sum,
): Promise<void> {
  // The others had the caches meanwhile.
  await pump.send(Math.ceil(messages / TURNS), batch);
  await load.call("note", true);
  const cpuBefore = await server.cpuTime();
  const before = performance.now();
  await pump.send(messages, batch);
  sum.milliseconds += performance.now() - before;
  sum.cpu += (await server.cpuTime()) - cpuBefore;
  await load.call("note", false);
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
