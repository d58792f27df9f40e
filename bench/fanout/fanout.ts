import type { Bench, Measurement, Run } from "../harness.ts";
import { findRow, type Row, type Target, target } from "../report.ts";
import type { SubjectProcess } from "../subject-process.ts";
import type { LoadCalls, ServerCalls } from "./calls.ts";

const STOCK = "stock Socket.IO";
const HOLDFAST = "Holdfast";

const SUBJECTS: ReadonlyMap<string, URL> = new Map([
  [STOCK, new URL("./subjects/stock-socketio.ts", import.meta.url)],
  [HOLDFAST, new URL("./subjects/holdfast.ts", import.meta.url)],
  ["ws loop", new URL("./subjects/ws-loop.ts", import.meta.url)],
]);
const LOAD = new URL("./load.ts", import.meta.url);

/** How many messages the server is given in one tick, and what of stock Socket.IO's CPU time Holdfast may then use. */
const MODES = [
  { name: "one at a time", batch: 1, limit: 1 / 1.6 },
  { name: "ten at a time", batch: 10, limit: 1 / 6 },
] as const;

/** As a part of the messages measured: enough for the server's code to be compiled before it is timed. */
const WARM_UP = 0.3;

/** A message that has not reached everybody after this long is lost. */
const RECEIVE_TIMEOUT_MS = 10_000;

/** One server process sends to many subscribers of one room: what does a delivery cost it? */
export const fanout: Bench = {
  name: "fanout",
  summary:
    "CPU time of one server process for each delivery of a 150-byte message to many WebSocket subscribers",
  subjects: [...SUBJECTS.keys()],
  options: {
    clients: { summary: "subscribers of the one room", default: 500, max: 15_000 },
    messages: { summary: "messages measured in each mode", default: 400, max: 1_000_000 },
  },
  measure,
  targets,
};

async function measure(subject: string, run: Run): Promise<readonly Measurement[]> {
  const module = SUBJECTS.get(subject);
  if (!module) throw new RangeError(`no subject "${subject}"`);
  const clients = run.option("clients");
  const messages = run.option("messages");
  const server = await run.start<ServerCalls>(module, "server");
  const load = await run.start<LoadCalls>(LOAD, "load");
  const pump = new Pump(server, load);
  await load.call("connect", { ...(await server.call("address", null)), clients });

  const measurements: Measurement[] = [];
  for (const { name, batch } of MODES) {
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

/** Publishes batch after batch, each when every subscriber has the one before, so that none waits in a queue. */
class Pump {
  readonly #server: SubjectProcess<ServerCalls>;
  readonly #load: SubjectProcess<LoadCalls>;
  #next = 0;

  constructor(server: SubjectProcess<ServerCalls>, load: SubjectProcess<LoadCalls>) {
    this.#server = server;
    this.#load = load;
  }

  /** @throws Error when a message is lost, doubled or overtaken, or a process ends. */
  async send(messages: number, batch: number): Promise<void> {
    const end = this.#next + messages;
    while (this.#next < end) {
      const count = Math.min(batch, end - this.#next);
      this.#server.tell("publish", { first: this.#next, count });
      this.#next += count;
      const received = this.#load.call("received", { next: this.#next, timeoutMs: RECEIVE_TIMEOUT_MS });
      await Promise.race([received, this.#server.failure]);
    }
  }
}

function targets(rows: readonly Row[]): readonly Target[] {
  return MODES.map(({ name, limit }) => {
    const metric = cpuMetric(name);
    const ratio = findRow(rows, HOLDFAST, metric).median / findRow(rows, STOCK, metric).median;
    return target(`${metric}: ${HOLDFAST} against ${STOCK}`, ratio, limit, "ratio");
  });
}

function cpuMetric(mode: string): string {
  return `server CPU per delivery, ${mode}`;
}
