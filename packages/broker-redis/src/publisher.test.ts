import { expect, test, vi } from "vitest";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
import { keeper } from "../../broker/test/keeper.ts";
import { RedisServer } from "../test/redis-server.ts";
import { connectRedisBroker } from "./mod.ts";

/** A heart that beats this seldom: what goes over the wire is what a test sends. */
const QUICK = { minBackOffMs: 5, maxBackOffMs: 50, heartbeatMs: 60_000, deadAfterMs: 500, requestMs: 20_000 };
const WAIT = { timeout: 15_000, interval: 10 };

const keep = keeper();

async function start(): Promise<RedisServer> {
  const server = await RedisServer.start();
  return keep(server, () => server[Symbol.asyncDispose]());
}

async function tagsAt(server: RedisServer): Promise<string[]> {
  const broker = connectRedisBroker(server.url, QUICK);
  try {
    const history = await broker.history("room", {});
    return history.type === "page" ? history.entries.map(({ tag }) => tag) : [];
  } finally {
    await broker.close();
  }
}

test("a publish that is sent again after its answer was lost is told from the one that the lost server does later", async () => {
  const [lost, next] = [await start(), await start()];
  const proxy = await FaultProxy.open(lost.port);
  keep(proxy, () => proxy.close());
  const broker = connectRedisBroker(`redis://127.0.0.1:${proxy.port}`, QUICK);
  keep(broker, () => broker.close());
  await broker.publish("room", Buffer.from("before"));
  const before = proxy.chunks;
  lost.suspend();
  const published = broker.publish("room", Buffer.from("once"), { idempotencyKey: "once" });
  await vi.waitFor(() => expect(proxy.chunks).toBeGreaterThan(before), WAIT);
  proxy.target(next.port);
  const { position } = await published;
  lost.resume();
  await vi.waitFor(async () => expect(await tagsAt(lost)).toHaveLength(2), WAIT);
  expect(await tagsAt(next)).toEqual([position.tag]);
  expect(await tagsAt(lost)).not.toContain(position.tag);
});
