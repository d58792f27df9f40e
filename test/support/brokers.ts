import { type Broker, openBroker, openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { NatsServer } from "../../packages/broker-nats/test/nats-server.ts";
import { RedisCluster } from "../../packages/broker-redis/test/redis-cluster.ts";
import { RedisServer } from "../../packages/broker-redis/test/redis-server.ts";

/** A broker that several nodes or processes share by its URL. */
export interface RunningBroker {
  readonly url: string;
  close(): Promise<unknown>;
}

/** A node's own connection to the broker that a URL names. */
export function anyBroker(url: string): Broker {
  if (url.startsWith("redis")) return connectRedisBroker(url);
  return url.startsWith("nats:") ? openNatsBroker(url) : openBroker(url);
}

export async function startServed(): Promise<RunningBroker> {
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  return { url: served.url, close: () => served.close().then(() => broker.close()) };
}

export async function startRedis(): Promise<RunningBroker> {
  const server = await RedisServer.start();
  return { url: server.url, close: () => server[Symbol.asyncDispose]() };
}

export async function startRedisCluster(): Promise<RunningBroker> {
  const cluster = await RedisCluster.start();
  return { url: cluster.url, close: () => cluster[Symbol.asyncDispose]() };
}

/** @param partitions how many streams the logs are in; with one all have one order */
export async function startNats(partitions: number): Promise<RunningBroker> {
  const server = await NatsServer.start();
  return { url: `${server.url}?partitions=${partitions}`, close: () => server.close() };
}
