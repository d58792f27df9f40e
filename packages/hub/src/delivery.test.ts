import { connectBroker, openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { expect, it } from "vitest";
import { Subscriber, TestNode } from "../test/node.ts";
import { Hub } from "./hub.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const seed = testSeed();

it(`gives every subscriber on every node the same entries in the same order, whoever drops and resumes where (SEED=${seed})`, async () => {
  const { next: random, below } = seededRandom(seed);
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  const links = [connectBroker(served.url), connectBroker(served.url)];
  const hubs = links.map(
    (link, n) => new Hub(link, { node: `node-${n}`, pageSize: 4, lingerMs: 15, maxReads: 3 }),
  );
  const nodes = hubs.map((hub) => new TestNode(hub));
  const channels = ["a", "b", "c"];
  let publishing = true;

  const publishers = Array.from({ length: 6 }, async (_, who) => {
    for (let n = 0; n < 120; n++) {
      const channel = channels[below(channels.length)] ?? "a";
      const link = links[below(2)];
      const published = link?.publish(channel, new TextEncoder().encode(`${who}:${n}`));
      if (random() < 0.5) await published;
      if (random() < 0.2) await pause(below(8));
    }
  });
  const ended = Promise.all(publishers).then(() => {
    publishing = false;
  });

  const subscribers = Array.from({ length: 24 }, (_, n) => ({
    channel: channels[n % channels.length] ?? "a",
    subscriber: new Subscriber(),
  }));
  const visits = subscribers.map(async ({ channel, subscriber }) => {
    if (random() < 0.4) subscriber.pressure = () => (random() < 0.5 ? pause(below(6)) : undefined);
    for (;;) {
      const last = !publishing;
      const membership = nodes[below(2)]?.join(channel, subscriber, subscriber.position);
      if (!last && random() < 0.3) await pause(below(3));
      else await membership?.joined;
      if (last) return;
      await pause(below(25));
      subscriber.drop();
      if (random() < 0.3) await pause(below(40));
    }
  });
  await ended;
  await Promise.all(visits);

  for (const { channel, subscriber } of subscribers) {
    const page = await broker.history(channel, {});
    const entries = page.type === "page" ? page.entries : [];
    const log = entries.map((entry) => `${entry.offset} ${new TextDecoder().decode(entry.data)}`);
    await expect.poll(() => subscriber.position?.offset, { timeout: 5_000 }).toBe(log.length);
    expect(subscriber.faults).toEqual([]);
    expect(subscriber.received).toEqual(log.slice(log.length - subscriber.received.length));
    expect(subscriber.received.length).toBeGreaterThan(0);
  }
  expect(hubs.reduce((sum, hub) => sum + hub.counters.recovered, 0)).toBeGreaterThan(50);
  expect(hubs.reduce((sum, hub) => sum + hub.counters.refused, 0)).toBe(0);

  await Promise.all(hubs.map((hub) => hub.close()));
  await Promise.all(links.map((link) => link.close()));
  await served.close();
  await broker.close();
});
