import type { Bench, Measurement, Run } from "../harness.ts";
import { findRow, type Row, type Target, target } from "../report.ts";
import type { Publishing, WorkerCalls } from "./calls.ts";
import { measureSpread, OF_PAYLOAD, ONE_NODE, SPREAD } from "./spread/spread.ts";
import { FILE, prepare, REDIS, SERVED, SUBJECTS } from "./subjects.ts";

const WORKER = new URL("./worker.ts", import.meta.url);

const CALLS = 1000;
const MODES: ReadonlyMap<string, Omit<Publishing, "entries">> = new Map([
  ["one by one, 1 channel", { channels: 1, batch: 1, calls: CALLS }],
  ["one by one, 100 channels", { channels: 100, batch: 1, calls: CALLS }],
  ["in hundreds, 1 channel", { channels: 1, batch: 100, calls: 10 }],
  ["in hundreds, 100 channels", { channels: 100, batch: 100, calls: 10 }],
]);
const DURABLE = "one by one, 100 channels";
const BATCHED = "in hundreds, 1 channel";
const WARM_UP = 0.3;
const LEAST_DURABLE = 30_000;
const LEAST_BATCHED = 80_000;
/** What a node receives for a byte of its own payload, and how much more that is when channels are spread. */
const MOST_OF_PAYLOAD = 2;
const MOST_GROWTH = 1.1;

/** A broker's log: what do publishing, delivering and going on from a position cost? */
export const log: Bench = {
  name: "log",
  summary:
    "publishes per second, their CPU time, delivery, catching up and what a node receives, with 128-byte entries on each broker engine",
  subjects: [...SUBJECTS.keys()],
  sections: ["publish", "deliver", "catch-up", "idle", "spread"],
  runs: 3,
  options: {
    entries: { summary: "entries published in each mode", default: 100_000, max: 100_000_000 },
    deliveries: {
      summary: "entries published one after the other to a subscriber",
      default: 1000,
      max: 1_000_000,
    },
    subscribers: { summary: "subscribers that come back, 100 to a channel", default: 10_000, max: 1_000_000 },
    back: { summary: "entries that each of them has missed", default: 100, max: 10_000 },
    idle: { summary: "channels on which nothing happens", default: 10_000, max: 1_000_000 },
    messages: { summary: "messages over the channels that nodes follow", default: 8000, max: 1_000_000 },
    nodes: { summary: "nodes that these channels are spread over", default: 4, max: 40 },
  },
  prepare,
  measure,
  targets,
};

async function measure(name: string, run: Run): Promise<readonly Measurement[]> {
  const subject = SUBJECTS.get(name);
  if (!subject) throw new RangeError(`no subject "${name}"`);
  const spread = run.wants("spread");
  if (subject.adapter)
    return spread ? await measureSpread(run, (await subject.start(run)).url, subject.adapter) : [];
  const { url, process: broker } = await subject.start(run);
  const worker = await run.start<WorkerCalls>(WORKER, broker ? "load" : "server");
  await worker.call("open", url);
  const measurements: Measurement[] = [];
  const add = (metric: string, unit: string, value: number) => measurements.push({ metric, unit, value });

  if (run.wants("publish")) {
    for (const [mode, publishing] of MODES) {
      const entries = run.option("entries");
      await worker.call("publish", { ...publishing, entries: Math.ceil(entries * WARM_UP) });
      const cpuTimes = () => Promise.all([worker.cpuTime(), broker?.cpuTime()]);
      const [workerBefore, brokerBefore = 0] = await cpuTimes();
      const seconds = await worker.call("publish", { ...publishing, entries });
      const [workerAfter, brokerAfter] = await cpuTimes();
      const workerTime = (workerAfter - workerBefore) / entries;
      add(perSecond(mode), "1/s", entries / seconds);
      // Embedded, the process that publishes is the broker's.
      const brokerTime = brokerAfter === undefined ? workerTime : (brokerAfter - brokerBefore) / entries;
      add(`broker CPU per publish, ${mode}`, "µs", brokerTime);
      if (broker) add(`publisher CPU per publish, ${mode}`, "µs", workerTime);
    }
  }
  if (run.wants("deliver")) {
    const entries = run.option("deliveries");
    await worker.call("deliver", { entries: Math.ceil(entries * WARM_UP) });
    const { p50, p99 } = await worker.call("deliver", { entries });
    add("publish to delivery p50", "ms", p50);
    add("publish to delivery p99", "ms", p99);
  }
  if (run.wants("catch-up")) {
    const [subscribers, back] = [run.option("subscribers"), run.option("back")];
    const channels = Math.ceil(subscribers / 100);
    add("catch-up of all subscribers", "s", await worker.call("catchUp", { subscribers, channels, back }));
  }
  if (run.wants("idle"))
    add("heap per idle channel", "bytes", await worker.call("idle", { channels: run.option("idle") }));
  if (spread && broker) {
    await worker.stop();
    measurements.push(...(await measureSpread(run, url)));
  }
  return measurements;
}

function targets(rows: readonly Row[]): readonly Target[] {
  const held = (subject: string, metric: string, make: (median: number) => Target) =>
    rows.filter((row) => row.subject === subject && row.metric === metric).map(({ median }) => make(median));
  const rate = (subject: string, mode: string, least: number) =>
    held(subject, perSecond(mode), (median) =>
      // At least so many a second is at most so many microseconds each.
      target(`time per durable publish, ${mode}: ${subject}`, 1e6 / median, 1e6 / least, "µs"),
    );
  const growth = (subject: string) =>
    held(subject, SPREAD, (median) => {
      const ratio = median / findRow(rows, subject, ONE_NODE).median;
      return target(`${SPREAD}, against one node: ${subject}`, ratio, MOST_GROWTH, "ratio");
    });
  return [
    rate(FILE, DURABLE, LEAST_DURABLE),
    rate(REDIS, BATCHED, LEAST_BATCHED),
    growth(SERVED),
    growth(REDIS),
    held(REDIS, OF_PAYLOAD, (median) => target(`${OF_PAYLOAD}: ${REDIS}`, median, MOST_OF_PAYLOAD, "bytes")),
  ].flat();
}

function perSecond(mode: string): string {
  return `publishes per second, ${mode}`;
}
