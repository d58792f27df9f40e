import { setTimeout as pause } from "node:timers/promises";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { afterAll, expect, test } from "vitest";
import { bytes, logOf } from "../../broker/test/feed.ts";
import { NatsServer } from "../test/nats-server.ts";
import { pairOf } from "../test/pair.ts";

const server = await NatsServer.start();
afterAll(() => server.close());

test("appends one entry for each key, however the attempts of two nodes fall", async () => {
  const seed = testSeed();
  const random = seededRandom(seed);
  const nodes = await pairOf([server.url, server.url]);
  const rooms = Array.from({ length: 100 }, async (_, n) => {
    await pause(n * 5);
    const attempts = Array.from({ length: 8 }, (_, k) => ({
      node: k % 2 ? nodes.a : nodes.b,
      key: `key-${random.below(2)}`,
      after: random.below(8),
    }));
    const published = await Promise.all(
      attempts.map(async ({ node, key, after }) => {
        await pause(after);
        return node.publish(`room-${n}`, bytes(key), { idempotencyKey: key });
      }),
    );
    const keys = new Set(attempts.map(({ key }) => key)).size;
    expect(new Set(published.map(({ seq }) => seq)).size, `SEED=${seed}`).toBe(keys);
    expect(
      published.filter(({ duplicate }) => !duplicate),
      `SEED=${seed}`,
    ).toHaveLength(keys);
    expect(await logOf(nodes.a, `room-${n}`), `SEED=${seed}`).toHaveLength(keys);
  });
  await Promise.all(rooms);
  await nodes[Symbol.asyncDispose]();
});
