import { type Broker, BrokerError, openEmbeddedBroker, type Publication } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { until } from "../../test/cluster.ts";
import { EMIT_QUEUE_LIMITS, EmitQueue } from "./emit-queue.ts";

let broker: Broker;
beforeEach(() => {
  broker = openEmbeddedBroker();
});
afterEach(() => broker.close());

const bytes = (text: string) => new TextEncoder().encode(text);
const to = (text: string, ...channels: string[]): Publication[] =>
  channels.map((channel) => ({ channel, data: bytes(text) }));

async function logOf(channel: string): Promise<string[]> {
  const history = await broker.history(channel, {});
  return history.type === "page" ? history.entries.map(({ data }) => new TextDecoder().decode(data)) : [];
}

/** Notes the batches, and answers them in any order. */
function scramble(random: () => number): string[][] {
  const batches: string[][] = [];
  const publishAll = broker.publishAll.bind(broker);
  const publish = broker.publish.bind(broker);
  const delay = () => new Promise((resolve) => setTimeout(resolve, random() * 5));
  broker.publishAll = async (publications) => {
    batches.push(publications.map(({ channel }) => channel));
    await delay();
    const outcomes = await publishAll(publications);
    await delay();
    return outcomes;
  };
  broker.publish = async (channel, data, options) => {
    batches.push([channel]);
    await delay();
    return publish(channel, data, options);
  };
  return batches;
}

it("keeps the order of a channel's emits, whatever waits and however late the broker answers", async () => {
  const random = seededRandom(testSeed());
  scramble(random.next);
  const queue = new EmitQueue(broker);
  const expected = new Map<string, string[]>();
  const done: Promise<unknown>[] = [];
  for (let n = 0; n < 400; n++) {
    const channels = ["a", "b", "c", "d"].filter(() => random.below(2) === 0);
    if (channels.length === 0) continue;
    for (const channel of channels) expected.set(channel, [...(expected.get(channel) ?? []), `${n}`]);
    const wait =
      random.below(8) === 0 ? [new Promise((resolve) => setTimeout(resolve, random.below(10)))] : [];
    done.push(queue.add(to(`${n}`, ...channels), random.below(2) === 0 ? { after: wait } : { joins: wait }));
    if (random.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(done);
  for (const [channel, texts] of expected) expect(await logOf(channel)).toEqual(texts);
  expect(queue.size).toBe(0);
});

it("sends what comes in one turn together, and where channels have no common order lets no slow one hold up another", async () => {
  let release = () => {};
  const publishAll = broker.publishAll.bind(broker);
  const batches: number[] = [];
  broker.publishAll = async (publications) => {
    batches.push(publications.length);
    if (publications.some(({ channel }) => channel === "slow")) {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    return publishAll(publications);
  };
  const queue = new EmitQueue({
    abilities: { ...broker.abilities, oneSequence: "has partitions" },
    publish: (...args) => broker.publish(...args),
    publishAll: (...args) => broker.publishAll(...args),
  });
  const slow = Promise.all([queue.add(to("1", "slow")), queue.add(to("2", "slow"))]);
  await until(() => batches.length === 1);
  const behind = queue.add(to("3", "slow", "other"));
  await Promise.all(Array.from({ length: 50 }, (_, n) => queue.add(to(`${n}`, `fast-${n}`))));
  expect(batches).toEqual([2, 50]);
  release();
  await slow;
  await until(() => batches.length === 3);
  release();
  await behind;
  expect(await logOf("slow")).toEqual(["1", "2", "3"]);
});

it("lets nothing overtake what waits for a join, and other channels what waits for something else", async () => {
  const queue = new EmitQueue(broker);
  const batches = scramble(() => 0);
  const [join, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const waiting = [queue.add(to("1", "a"), { after: [other.promise] }), queue.add(to("2", "b"))];
  await waiting[1];
  waiting.push(queue.add(to("3", "c"), { joins: [join.promise] }), queue.add(to("4", "d")));
  await new Promise((resolve) => setImmediate(resolve));
  expect(batches).toEqual([["b"]]);
  join.resolve();
  await Promise.all(waiting.slice(1));
  expect(batches).toEqual([["b"], ["c", "d"]]);
  other.resolve();
  await Promise.all(waiting);
});

it("splits what is larger than a batch, and answers with every place", async () => {
  const batches = scramble(() => 0);
  const queue = new EmitQueue(broker);
  const channels = Array.from({ length: 2_500 }, (_, n) => `c${n}`);
  const emitted = await queue.add(to("x", ...channels));
  expect(emitted.map(({ channel }) => channel)).toEqual(channels);
  expect(batches.map((batch) => batch.length)).toEqual([1_000, 1_000, 500]);
  const large = { channel: "large", data: new Uint8Array(900_000) };
  await queue.add([large, large, large]);
  expect(batches.slice(3).map((batch) => batch.length)).toEqual([2, 1]);
});

it("tells each emit of its own refusal, and goes on", async () => {
  const queue = new EmitQueue(broker);
  const results = await Promise.allSettled([
    queue.add(to("1", "a")),
    queue.add([...to("2", "a"), { channel: "b", data: new Uint8Array(1024 * 1024 + 1) }]),
    queue.add(to("3", "not a channel")),
    queue.add(to("4", "a")),
  ]);
  const codes = results.map((result) => (result.status === "fulfilled" ? "ok" : result.reason.code));
  expect(codes).toEqual(["ok", "ENTRY_TOO_LARGE", "CHANNEL_INVALID", "ok"]);
  expect(await logOf("a")).toEqual(["1", "2", "4"]);
});

it("goes on after a batch whose fate is not known", async () => {
  const publishAll = broker.publishAll.bind(broker);
  let calls = 0;
  broker.publishAll = (publications) =>
    ++calls === 1 ? Promise.reject(new BrokerError("BROKER_UNAVAILABLE")) : publishAll(publications);
  const queue = new EmitQueue(broker);
  const lost = Promise.allSettled([queue.add(to("1", "a")), queue.add(to("2", "a", "b"))]);
  expect((await lost).map((result) => (result.status === "rejected" ? result.reason.code : "ok"))).toEqual([
    "BROKER_UNAVAILABLE",
    "BROKER_UNAVAILABLE",
  ]);
  await Promise.all([queue.add(to("3", "a")), queue.add(to("4", "b"))]);
  expect([await logOf("a"), await logOf("b")]).toEqual([["3"], ["4"]]);
});

it("refuses what is over its bounds, by number and by bytes, and takes more when there is room", async () => {
  const queue = new EmitQueue(broker, { maxEmits: 3, maxBytes: 10 });
  const { promise: held, resolve } = Promise.withResolvers<void>();
  const first = queue.add(to("12345678", "a"), { after: [held] });
  await expect(queue.add(to("123", "a"))).rejects.toMatchObject({ code: "EMITS_TOO_MANY", retryable: true });
  const others = [queue.add(to("1", "a")), queue.add(to("2", "b"))];
  await expect(queue.add([])).rejects.toMatchObject({ code: "EMITS_TOO_MANY" });
  resolve();
  await Promise.all([first, ...others]);
  await queue.add(to("1234567890", "a"));
  expect(await logOf("a")).toEqual(["12345678", "1", "1234567890"]);
});

it("holds what is called after something that must come first, and lets pass what only asks", async () => {
  let over = 0;
  const gate = { newest: 0, isOver: (number: number) => number <= over };
  const queue = new EmitQueue(broker, EMIT_QUEUE_LIMITS, gate);
  const before = queue.add(to("before", "a"));
  gate.newest = 1;
  const within = [queue.add(to("1", "a")), queue.add(to("2", "b")), queue.add(to("told", "cluster"))];
  const asked = [queue.add(to("asked", "other"), { isQuestion: true })];
  const behind = queue.add(to("asked", "cluster"), { isQuestion: true });
  await Promise.all([before, ...asked]);
  expect(queue.size).toBe(4);
  gate.newest = 2;
  const last = queue.add(to("3", "a"));
  over = 1;
  queue.advance();
  await Promise.all([...within, behind]);
  expect(await logOf("a")).toEqual(["before", "1"]);
  expect(await logOf("cluster")).toEqual(["told", "asked"]);
  over = 2;
  queue.advance();
  await last;
  expect(await logOf("a")).toEqual(["before", "1", "3"]);
});
