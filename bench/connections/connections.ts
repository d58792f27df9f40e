import type { Bench, Measurement, Run } from "../harness.ts";
import { type Row, type Target, target } from "../report.ts";
import { requireFiles, settledMemory } from "../settled-memory.ts";
import type { LoadCalls, ServerCalls } from "./calls.ts";

const STOCK = "stock Socket.IO";
const HOLDFAST = "Holdfast";

const SUBJECTS: ReadonlyMap<string, URL> = new Map([
  [STOCK, new URL("./subjects/stock-socketio.ts", import.meta.url)],
  [HOLDFAST, new URL("./subjects/holdfast.ts", import.meta.url)],
]);
const LOAD = new URL("./load.ts", import.meta.url);

const MEMORY = "memory per idle WebSocket";
const HEAP = "heap per idle WebSocket";
const CPU = "server CPU per handshake";
const RATE = "handshakes per second";

/** Connections that are there before anything is measured: what the first need is needed once. */
const FIRST = 0.05;
/** Handshakes under way at a time. */
const AT_ONCE = 64;
/** Files that a server has open besides its connections. */
const OTHER_FILES = 100;

/** One Socket.IO server that many clients connect to and then say nothing: what does a connection cost it? */
export const connections: Bench = {
  name: "connections",
  summary:
    "memory of one server process for each idle Socket.IO client over WebSocket, and what a handshake costs",
  subjects: [...SUBJECTS.keys()],
  runs: 3,
  options: { clients: { summary: "idle WebSockets", default: 8_000, max: 25_000 } },
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const module = SUBJECTS.get(subject);
  if (!module) throw new RangeError(`no subject "${subject}"`);
  const clients = run.option("clients");
  requireFiles(clients + OTHER_FILES);
  const server = await run.start<ServerCalls>(module, "server");
  const load = await run.start<LoadCalls>(LOAD, "load");
  const { port } = await server.call("address", null);
  const first = Math.ceil(clients * FIRST);
  const measured = clients - first;
  const reading = async () => {
    const heap = await server.call("heap", null);
    return { heap, memory: await settledMemory(server) };
  };

  await load.call("open", { port, connections: first, atOnce: AT_ONCE });
  const before = await reading();
  const cpuBefore = await server.cpuTime();
  const started = performance.now();
  await load.call("open", { port, connections: measured, atOnce: AT_ONCE });
  const seconds = (performance.now() - started) / 1000;
  const cpu = (await server.cpuTime()) - cpuBefore;
  const after = await reading();

  await load.call("prove", null);
  const sockets = await server.call("sockets", null);
  if (sockets !== clients) throw new Error(`the server has ${sockets} sockets of ${clients}`);
  return [
    { metric: MEMORY, unit: "KiB", value: (after.memory - before.memory) / measured / 1024 },
    { metric: HEAP, unit: "KiB", value: (after.heap - before.heap) / measured / 1024 },
    { metric: CPU, unit: "µs", value: cpu / measured },
    { metric: RATE, unit: "1/s", value: measured / seconds },
  ];
}

/** Of those subjects that were measured. */
function targets(rows: readonly Row[]): readonly Target[] {
  const median = (subject: string, metric: string) =>
    rows.find((row) => row.subject === subject && row.metric === metric)?.median;
  const against = (metric: string, limit: number, ratio: (ours: number, stock: number) => number) => {
    const [ours, stock] = [median(HOLDFAST, metric), median(STOCK, metric)];
    if (ours === undefined || stock === undefined) return [];
    return [target(`${metric}: ${HOLDFAST} against ${STOCK}`, ratio(ours, stock), limit, "ratio")];
  };
  return [
    ...against(MEMORY, 0.7, (ours, stock) => ours / stock),
    // A target is a most: so many handshakes of stock Socket.IO for one of Holdfast's.
    ...against(RATE, 1, (ours, stock) => stock / ours),
  ];
}
