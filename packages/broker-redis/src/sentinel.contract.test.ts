import { brokerContract } from "@holdfast/broker/contract";
import { afterAll, beforeAll } from "vitest";
import { SentinelSystem } from "../test/redis-sentinel.ts";
import { connectRedisBroker, REDIS_ABILITIES } from "./mod.ts";

let system: SentinelSystem;
beforeAll(async () => {
  system = await SentinelSystem.start();
}, 60_000);
afterAll(() => system[Symbol.asyncDispose]());

brokerContract({
  name: "The Redis engine with Sentinel",
  abilities: REDIS_ABILITIES,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const [a, b] = [connectRedisBroker(system.url), connectRedisBroker(system.url)];
    return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
  },
});
