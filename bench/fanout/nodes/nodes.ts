import { ensureInstalled } from "../../debian-package.ts";
import { findFreePort } from "../../free-port.ts";
import type { Measurement, Run } from "../../harness.ts";
import type { Row, Target } from "../../report.ts";
import { target } from "../../report.ts";
import type { SubjectProcess } from "../../subject-process.ts";
import type { LoadCalls } from "../calls.ts";
import { Pump } from "../pump.ts";
import type { Connection, NodeCalls } from "./calls.ts";

const HOLDFAST = "Holdfast over Redis";
const PEER = "Socket.IO redis-adapter";

/** Three servers over one Redis, by what connects them. */
export const CONNECTED: ReadonlyMap<string, Connection> = new Map<string, Connection>([
  [HOLDFAST, "Holdfast"],
  [PEER, "redis-adapter"],
  ["Socket.IO redis-streams-adapter", "redis-streams-adapter"],
]);

const SERVERS = 3;
const WARM_UP = 0.3;
const MODES = [
  { name: "one at a time", batch: 1 },
  { name: "ten at a time", batch: 10 },
] as const;
/** What Holdfast's servers may use at most of redis-adapter's CPU time, with ten at a time. */
const LIMIT = 1 / 4;

/** Gets ready what these subjects need of the machine. */
export function prepareNodes(subjects: readonly string[], onProgress: (line: string) => void): void {
  if (subjects.some((subject) => CONNECTED.has(subject)))
    ensureInstalled([{ command: "redis-server", name: "redis-server" }], { onProgress });
}

/** The CPU time of all three servers together, Redis's beside it: one publishes, and each has a third of the subscribers. */
export async function measureNodes(connection: Connection, run: Run): Promise<readonly Measurement[]> {
  const clients = run.option("clients");
  const messages = run.option("messages");
  const port = await findFreePort();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", "{folder}", "--save", ""];
  const redis = await run.spawn({ file: "redis-server", args, files: {}, port }, "server");
  const load = await run.start<LoadCalls>(new URL("../load.ts", import.meta.url), "load");
  const nodes: SubjectProcess<NodeCalls>[] = [];
  let left = clients;
  for (let n = 0; n < SERVERS; n++) {
    const node = await run.start<NodeCalls>(new URL("./node.ts", import.meta.url), "server");
    nodes.push(node);
    const opened = await node.call("open", {
      url: `redis://127.0.0.1:${port}`,
      name: `node-${n}`,
      connection,
    });
    const own = Math.ceil(left / (SERVERS - n));
    left -= own;
    await load.call("connect", { port: opened.port, dialect: "room", clients: own });
    await node.call("ready", { servers: n + 1, clients: own });
  }
  for (const node of nodes) await node.call("ready", { servers: SERVERS, clients: 0 });
  const [first] = nodes as [SubjectProcess<NodeCalls>];
  const failure = Promise.race([redis, ...nodes].map((process) => process.failure));
  failure.catch(() => {});
  const pump = new Pump({ publish: (batch) => first.tell("publish", batch), failure }, load);
  const used = async () => {
    const times = await Promise.all(nodes.map((node) => node.cpuTime()));
    return { servers: times.reduce((sum, time) => sum + time, 0), redis: await redis.cpuTime() };
  };

  const measurements: Measurement[] = [];
  for (const { name, batch } of MODES) {
    await pump.send(Math.ceil(messages * WARM_UP), batch);
    const deliveries = messages * clients;
    const before = await used();
    await pump.send(messages, batch);
    const after = await used();
    measurements.push(
      { metric: metricOf(name), unit: "µs", value: (after.servers - before.servers) / deliveries },
      {
        metric: `Redis's CPU per message, ${name}`,
        unit: "µs",
        value: (after.redis - before.redis) / messages,
      },
    );
  }
  return measurements;
}

export function nodesTargets(rows: readonly Row[]): readonly Target[] {
  const metric = metricOf("ten at a time");
  const [ours, theirs] = [HOLDFAST, PEER].map(
    (subject) => rows.find((row) => row.subject === subject && row.metric === metric)?.median,
  );
  if (ours === undefined || theirs === undefined) return [];
  return [target(`${metric}: ${HOLDFAST} against ${PEER}`, ours / theirs, LIMIT, "ratio")];
}

function metricOf(mode: string): string {
  return `CPU of three servers per delivery, ${mode}`;
}
