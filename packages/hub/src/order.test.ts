import { setTimeout as pause } from "node:timers/promises";
import { connectBroker, type Entry, openEmbeddedBroker, type Position, serveBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { expect, it } from "vitest";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
import { Subscriber, TestNode } from "../test/node.ts";
import { Hub } from "./hub.ts";

const CHANNELS = 30;
const ROUNDS = 60;
const seed = testSeed();

it(`hands out the entries of all channels in one order, all of them once, however often its connection is cut (SEED=${seed})`, {
  timeout: 30_000,
}, async () => {
  const { below, pick } = seededRandom(seed);
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  const proxy = await FaultProxy.open(served.port);
  const link = connectBroker(proxy.urlOf(served.url), { minBackOffMs: 5, maxBackOffMs: 20 });
  const hub = new Hub(link, { node: "n", pageSize: 5, lingerMs: 5 });
  const names = Array.from({ length: CHANNELS }, (_, n) => `c${n}`);
  const handedOut: Entry[] = [];
  const faults: string[] = [];
  const outlet = {
    deliver: (_channel: string, entry: Entry) => {
      if (hub.seq !== entry.seq) faults.push(`hub.seq is ${hub.seq} at ${entry.seq}`);
      handedOut.push(entry);
    },
    reset: (channel: string) => faults.push(`${channel} was reset`),
  };
  await Promise.all(names.map((name) => hub.follow(outlet, name).ready));

  const node = new TestNode(hub);
  const resuming = Array.from({ length: 10 }, () => ({ channel: pick(names), subscriber: new Subscriber() }));
  const starts = new Map<Subscriber, Position | undefined>();
  const joinings: Promise<void>[] = [];
  const join = ({ channel, subscriber }: (typeof resuming)[number]) => {
    const { joined } = node.join(channel, subscriber, subscriber.position);
    joinings.push(
      joined.catch(() => {
        // The connection was away for too long; a client tries again.
        subscriber.drop();
      }),
    );
    if (!starts.has(subscriber)) void joined.then(() => starts.set(subscriber, subscriber.start?.position));
  };
  for (const one of resuming) join(one);
  await Promise.all(joinings);

  const published: Promise<{ readonly seq: number }>[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    if (below(4) === 0) proxy.cut();
    for (let burst = below(20); burst > 0; burst--)
      published.push(broker.publish(pick(names), new TextEncoder().encode(`${published.length}`)));
    if (below(2) === 0) await pause(below(15));
    const one = pick(resuming);
    one.subscriber.drop();
    join(one);
  }
  const expected = (await Promise.all(published)).map(({ seq }) => seq).sort((x, y) => x - y);
  await expect.poll(() => handedOut.length, { timeout: 15_000 }).toBe(expected.length);
  expect(handedOut.map(({ seq }) => seq)).toEqual(expected);
  expect(faults).toEqual([]);
  expect(hub.inOrder).toBe(true);
  expect(hub.counters).toMatchObject({ late: 0, gaveWay: 0, resets: 0 });
  expect(hub.counters.held).toBeGreaterThan(0);

  await Promise.all(joinings);
  for (const { channel, subscriber } of resuming) {
    const page = await broker.history(channel, {});
    const log = (page.type === "page" ? page.entries : []).map(
      (entry) => `${entry.offset} ${new TextDecoder().decode(entry.data)}`,
    );
    await expect.poll(() => subscriber.position?.offset, { timeout: 5_000 }).toBe(log.length);
    expect(subscriber.faults).toEqual([]);
    expect(subscriber.received).toEqual(log.slice(starts.get(subscriber)?.offset));
  }
  await hub.close();
  await link.close();
  await served.close();
  await broker.close();
  await proxy.close();
});
