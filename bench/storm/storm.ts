import { ensureInstalled } from "../debian-package.ts";
import { findFreePort } from "../free-port.ts";
import type { Bench, Measurement, Run } from "../harness.ts";
import type { BrokerCalls } from "../log/calls.ts";
import { type Row, type Target, target } from "../report.ts";
import { requireFiles } from "../settled-memory.ts";
import type { Measured, SubjectProcess } from "../subject-process.ts";
import type { Connection, LoadCalls, NodeCalls } from "./calls.ts";

const SERVED = "Holdfast served";
const REDIS = "Holdfast over Redis";
const PEER = "Socket.IO redis-streams-adapter";

const SUBJECTS: ReadonlyMap<string, { readonly connection: Connection; readonly onRedis: boolean }> = new Map(
  [
    [SERVED, { connection: "Holdfast", onRedis: false }],
    [REDIS, { connection: "Holdfast", onRedis: true }],
    [PEER, { connection: "redis-streams-adapter", onRedis: true }],
  ],
);

const SERVERS = 3;
/** Messages a second, from a server that stays. */
const PER_SECOND = 4;
const BACK_MS = 60_000;
const SETTLED_MS = 20_000;
const OTHER_FILES = 200;

const PARTS = ["50 %", "95 %", "100 %"] as const;
const LOST = "messages lost";
const DOUBLED = "messages doubled";

/** The server of many clients is killed: how long until they are back elsewhere and have what they missed? */
export const storm: Bench = {
  name: "storm",
  summary:
    "many clients come back to two servers at once, since theirs was killed, with connectionStateRecovery",
  subjects: [...SUBJECTS.keys()],
  runs: 1,
  options: { clients: { summary: "clients of the server that is killed", default: 5_000, max: 15_000 } },
  prepare: (subjects, onProgress) => {
    if (subjects.some((subject) => SUBJECTS.get(subject)?.onRedis))
      ensureInstalled([{ command: "redis-server", name: "redis-server" }], { onProgress });
  },
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const chosen = SUBJECTS.get(subject);
  if (!chosen) throw new RangeError(`no subject "${subject}"`);
  const clients = run.option("clients");
  requireFiles(clients + OTHER_FILES);
  const broker = await (chosen.onRedis ? startRedis(run) : startServed(run));
  const nodes: SubjectProcess<NodeCalls>[] = [];
  const ports: number[] = [];
  for (let n = 0; n < SERVERS; n++) {
    const node = await run.start<NodeCalls>(new URL("./node.ts", import.meta.url), "server");
    const { port } = await node.call("open", {
      url: broker.url,
      name: `node-${n}`,
      connection: chosen.connection,
    });
    nodes.push(node);
    ports.push(port);
  }
  for (const node of nodes) await node.call("ready", { servers: SERVERS, clients: 0 });
  const [dying, publisher, other] = nodes as [(typeof nodes)[0], (typeof nodes)[0], (typeof nodes)[0]];
  const [port, ...others] = ports as [number, number, number];
  const load = await run.start<LoadCalls>(new URL("./load.ts", import.meta.url), "load");
  await load.call("connect", { port, others, clients });
  await dying.call("ready", { servers: SERVERS, clients });
  await publisher.call("publish", { perSecond: PER_SECOND });
  await load.call("begun", null);

  const stay = [publisher, other];
  const used = async () => {
    const times = await Promise.all([...stay, broker.process].map((one) => one.cpuTime()));
    return { servers: (times[0] ?? 0) + (times[1] ?? 0), broker: times[2] ?? 0 };
  };
  const before = await used();
  await load.call("killed", null);
  await dying.stop();
  const back = await load.call("back", { timeoutMs: BACK_MS });
  const after = await used();
  const messages = await publisher.call("stop", null);
  const outcome = await load.call("settled", { messages, timeoutMs: SETTLED_MS });
  const seconds = [back.half, back.most, back.all].map((ms) => (ms ?? BACK_MS) / 1_000);
  return [
    ...PARTS.map((part, n) => ({ metric: timeMetric(part), unit: "s", value: seconds[n] ?? 0 })),
    { metric: LOST, unit: "", value: outcome.lost },
    { metric: DOUBLED, unit: "", value: outcome.doubled },
    { metric: "sessions recovered", unit: "%", value: (outcome.recovered * 100) / clients },
    { metric: "servers' CPU per client", unit: "µs", value: (after.servers - before.servers) / clients },
    { metric: "broker's CPU per client", unit: "µs", value: (after.broker - before.broker) / clients },
  ];
}

interface StartedBroker {
  readonly url: string;
  readonly process: Measured;
}

async function startServed(run: Run): Promise<StartedBroker> {
  const process = await run.start<BrokerCalls>(new URL("../log/served.ts", import.meta.url), "server");
  return { url: await process.call("serve", { folder: run.folder() }), process };
}

async function startRedis(run: Run): Promise<StartedBroker> {
  const port = await findFreePort();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", "{folder}", "--save", ""];
  const process = await run.spawn({ file: "redis-server", args, files: {}, port }, "server");
  return { url: `redis://127.0.0.1:${port}`, process };
}

/** Of those subjects that were measured. */
function targets(rows: readonly Row[]): readonly Target[] {
  const median = (subject: string, metric: string) =>
    rows.find((row) => row.subject === subject && row.metric === metric)?.median;
  return [SERVED, REDIS].flatMap((subject) => [
    ...[LOST, DOUBLED].flatMap((metric) => {
      const value = median(subject, metric);
      return value === undefined ? [] : [target(`${metric}: ${subject}`, value, 0, "")];
    }),
    ...PARTS.flatMap((part) => {
      const [ours, theirs] = [median(subject, timeMetric(part)), median(PEER, timeMetric(part))];
      if (ours === undefined || theirs === undefined) return [];
      return [target(`${timeMetric(part)}: ${subject} against ${PEER}`, ours / theirs, 1, "ratio")];
    }),
  ]);
}

function timeMetric(part: string): string {
  return `${part} back and caught up`;
}
