import type { Broker, Entry, Position } from "@holdfast/broker";
import { answerHarness } from "../child.ts";
import { collectGarbage } from "../garbage.ts";
import { percentile } from "../statistics.ts";
import type { Publishing, WorkerCalls } from "./calls.ts";
import { isEmbedded, openEngine } from "./engine.ts";

const ENTRY = new Uint8Array(128).fill(0x41);
let a: Broker;
let b: Broker;
/** So that no measurement meets the channels of another. */
let round = 0;

async function publish({ entries, channels, batch, calls }: Publishing): Promise<number> {
  const prefix = `publish.${round++}`;
  let next = 0;
  let refused = 0;
  const caller = async () => {
    while (next < entries) {
      const from = next;
      next = Math.min(entries, next + batch);
      const publications = Array.from({ length: next - from }, (_, n) => ({
        channel: `${prefix}.${(from + n) % channels}`,
        data: ENTRY,
      }));
      const [first] = publications;
      if (batch === 1 && first) await a.publish(first.channel, first.data);
      else refused += (await a.publishAll(publications)).filter(({ type }) => type === "refused").length;
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: calls }, caller));
  const seconds = (performance.now() - started) / 1000;
  if (refused > 0) throw new Error(`${refused} publications were refused`);
  return seconds;
}

async function deliver({ entries }: { readonly entries: number }): Promise<{ p50: number; p99: number }> {
  const channel = `deliver.${round++}`;
  let arrived: (entry: Entry) => void = () => undefined;
  const subscription = await b.subscribe(channel, (event) => {
    if (event.type === "entry") arrived(event.entry);
  });
  const times: number[] = [];
  for (let n = 1; n <= entries; n++) {
    const started = performance.now();
    const delivered = new Promise<Entry>((resolve) => {
      arrived = resolve;
    });
    const [{ position }, { offset }] = await Promise.all([a.publish(channel, ENTRY), delivered]);
    if (offset !== n || position.offset !== n) throw new Error(`entry ${n} came as ${offset}`);
    times.push(performance.now() - started);
  }
  await subscription.close();
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

async function catchUp(argument: WorkerCalls["catchUp"]["argument"]): Promise<number> {
  const { subscribers, channels, back } = argument;
  const prefix = `catch-up.${round++}`;
  const places: Position[] = [];
  for (let n = 0; n < channels; n++) {
    const channel = `${prefix}.${n}`;
    places.push((await a.publish(channel, ENTRY)).position);
    for (let sent = 0; sent < back; sent += 1000)
      await a.publishAll(
        Array.from({ length: Math.min(1000, back - sent) }, () => ({ channel, data: ENTRY })),
      );
  }
  let missing = subscribers * back;
  const done = Promise.withResolvers<void>();
  const started = performance.now();
  const subscriptions = await Promise.all(
    Array.from({ length: subscribers }, (_, n) => {
      let last = 1;
      const since = places[n % channels] as Position;
      return b.subscribe(
        `${prefix}.${n % channels}`,
        (event) => {
          if (event.type === "reset") done.reject(new Error(`reset: ${event.reason}`));
          if (event.type !== "entry") return;
          if (event.entry.offset !== ++last) done.reject(new Error(`${event.entry.offset} came for ${last}`));
          if (--missing === 0) done.resolve();
        },
        { since },
      );
    }),
  );
  await done.promise;
  const seconds = (performance.now() - started) / 1000;
  for (const subscription of subscriptions) await subscription.close();
  return seconds;
}

async function idle({ channels }: { readonly channels: number }): Promise<number> {
  const prefix = `idle.${round++}`;
  const listener = () => undefined;
  // What the first of them make once is not theirs.
  await b.subscribe(`${prefix}.warm`, listener);
  await collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let from = 0; from < channels; from += 1000)
    await Promise.all(
      Array.from({ length: Math.min(1000, channels - from) }, (_, n) =>
        b.subscribe(`${prefix}.${from + n}`, listener),
      ),
    );
  await collectGarbage();
  return (process.memoryUsage().heapUsed - before) / channels;
}

answerHarness<WorkerCalls>({
  open: (url) => {
    a = openEngine(url);
    b = isEmbedded(url) ? a : openEngine(url);
    return undefined;
  },
  publish,
  deliver,
  catchUp,
  idle,
});
