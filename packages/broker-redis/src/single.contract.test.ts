import { brokerContract } from "@holdfast/broker/contract";
import { afterAll, beforeAll } from "vitest";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
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
    const proxy = await FaultProxy.open(server.port);
    const [a, b] = [connectRedisBroker(proxy.urlOf(server.url)), connectRedisBroker(server.url)];
    const dispose = async () => {
      for (const part of [a, b, proxy]) await part.close();
    };
    return { a, b, cut: () => proxy.cut(), [Symbol.asyncDispose]: dispose };
  },
});
