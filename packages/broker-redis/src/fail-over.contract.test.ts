import { brokerContract } from "@holdfast/broker/contract";
import { afterAll, beforeAll, expect, vi } from "vitest";
import { SentinelSystem } from "../test/redis-sentinel.ts";
import { connectRedisBroker, REDIS_ABILITIES } from "./mod.ts";

const QUICK = { minBackOffMs: 10, maxBackOffMs: 100, heartbeatMs: 200, deadAfterMs: 5000 };
/** Cases from one failover to the next. */
const EVERY = 25;

let system: SentinelSystem;
let cases = 0;
const servers = new Set<number>();
beforeAll(async () => {
  system = await SentinelSystem.start({ failoverMs: 1000 });
}, 60_000);
afterAll(async () => {
  await system[Symbol.asyncDispose]();
  // Without these the run would prove nothing.
  expect(cases).toBeGreaterThan(3 * EVERY);
  expect(servers.size).toBeGreaterThan(1);
});

/** Brokers that have spoken to one primary, and find another in its place. */
async function make() {
  const brokers = [connectRedisBroker(system.url, QUICK), connectRedisBroker(system.url, QUICK)] as const;
  const [a, b] = brokers;
  if (cases++ % EVERY === 0) {
    for (const broker of brokers) {
      await broker.subscribe("before", () => undefined);
      await broker.publish("before", new Uint8Array());
    }
    await system.synced(2);
    await system.failOver();
    await system.settled();
    for (const broker of brokers)
      await vi.waitFor(() => broker.publish("before", new Uint8Array()), { timeout: 15_000 });
    servers.add(system.primary.port);
  }
  return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
}

brokerContract({
  name: "The Redis engine on replicas that took over",
  abilities: REDIS_ABILITIES,
  limits: { maxEntryBytes: 1024 * 1024 },
  make,
});
