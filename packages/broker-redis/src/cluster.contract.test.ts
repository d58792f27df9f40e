import { brokerContract } from "@holdfast/broker/contract";
import { afterAll, beforeAll } from "vitest";
import { RedisCluster } from "../test/redis-cluster.ts";
import { connectRedisBroker, REDIS_CLUSTER_ABILITIES } from "./mod.ts";

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await RedisCluster.start();
}, 60_000);
afterAll(() => cluster[Symbol.asyncDispose]());

brokerContract({
  name: "The Redis engine on a cluster",
  abilities: REDIS_CLUSTER_ABILITIES,
  limits: { maxEntryBytes: 1024 * 1024 },
  make: async () => {
    const [a, b] = [connectRedisBroker(cluster.url), connectRedisBroker(cluster.url)];
    return { a, b, [Symbol.asyncDispose]: async () => void (await Promise.all([a.close(), b.close()])) };
  },
});
