import { brokerContract } from "@holdfast/broker/contract";
import { afterAll, beforeAll } from "vitest";
import { RedisServer } from "../test/redis-server.ts";
import { connectRedisBroker, REDIS_ABILITIES } from "./mod.ts";

let server: RedisServer;
beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server[Symbol.asyncDispose]());

brokerContract({
  name: "The Redis engine on one server",
  abilities: REDIS_ABILITIES,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const [a, b] = [connectRedisBroker(server.url), connectRedisBroker(server.url)];
    return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
  },
});
