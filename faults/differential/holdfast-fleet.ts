import { setTimeout as pause } from "node:timers/promises";
import {
  type Abilities,
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  serveBroker,
} from "@holdfast/broker";
import { type Random, seededRandom } from "@holdfast/broker/testing";
import { type NatsBrokerOptions, openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { createHoldfast, type HoldfastEvent } from "@holdfast/socketio";
import { NatsServer } from "../../packages/broker-nats/test/nats-server.ts";
import { RedisCluster } from "../../packages/broker-redis/test/redis-cluster.ts";
import { RedisServer } from "../../packages/broker-redis/test/redis-server.ts";
import { until } from "../engine.ts";
import type { DifferentialOptions } from "./differential.ts";
import { type CommonOrder, type Fleet, type FleetOptions, startServer } from "./fleet.ts";

/** A broker, and how each node opens its own client of it. */
interface Engine {
  open(): Broker;
  close(): Promise<void>;
}

/** The engines that Holdfast's nodes can share. */
export const ENGINES = {
  embedded: startEmbedded,
  redis: startRedis,
  "redis-cluster": startRedisCluster,
  nats: startNats,
  "nats-partitioned": startPartitionedNats,
} as const satisfies Readonly<Record<string, () => Promise<Engine>>>;

export type EngineName = keyof typeof ENGINES;

const MOST_LATE_MS = 30;

/** Those without the ability `oneSequence`. */
const UNORDERED: ReadonlySet<EngineName> = new Set<EngineName>(["redis-cluster", "nats-partitioned"]);

/**
 * What to compare with stock Socket.IO. Where a broker has no order of all rooms, servers recover nobody, though they are told
 * to: they have to show what servers do that have not the option.
 */
export function serversOn(engine: EngineName): Pick<DifferentialOptions, "start" | "recovery"> {
  const recovers = !UNORDERED.has(engine);
  return {
    recovery: recovers,
    start: ({ recovery, ...rest }) => startHoldfast(engine, { ...rest, recovery: recovery || !recovers }),
  };
}

/**
 * Socket.IO servers of this process with Holdfast on one broker, each with a connection of its own to it.
 *
 * @param onEvent told what the nodes tell
 */
export async function startHoldfast(
  name: EngineName,
  options: FleetOptions,
  onEvent: (node: number, event: HoldfastEvent) => void = () => {},
): Promise<Fleet> {
  const engine = await ENGINES[name]();
  const closers: (() => unknown)[] = [() => engine.close()];
  const close = async () => {
    for (const closer of closers.reverse()) await closer();
  };
  try {
    const nodes = await Promise.all(
      Array.from({ length: options.nodes }, async (_, node) => {
        const broker = engine.open();
        closers.push(() => broker.close());
        const holdfast = createHoldfast({
          broker: slowToFollow(broker, seededRandom(node)),
          node: `node-${node}`,
          onEvent: (event) => onEvent(node, event),
        });
        closers.push(() => holdfast.close());
        const server = await startServer(options, holdfast.options);
        closers.push(() => server.io.close());
        await holdfast.ready;
        return { ...server, broker };
      }),
    );
    for (const { io } of nodes)
      await until(async () => (await io.of("/").adapter.serverCount()) === nodes.length, "nodes to meet");
    const at = (node: number) => {
      const found = nodes[node];
      if (!found) throw new RangeError(`no node ${node}`);
      return found;
    };
    return {
      server: (node) => at(node).io,
      url: (node) => at(node).url,
      single: false,
      order: orderOf(at(0).broker.abilities),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A channel is followed some time after it was asked for: what relies on that has to wait for it. */
function slowToFollow(broker: Broker, random: Random): Broker {
  const subscribe = async (...args: Parameters<Broker["subscribe"]>) => {
    await pause(random.below(MOST_LATE_MS));
    return broker.subscribe(...args);
  };
  return new Proxy(broker, {
    get(target, name) {
      if (name === "subscribe") return subscribe;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function startEmbedded(): Promise<Engine> {
  const broker = openEmbeddedBroker();
  const served = await serveBroker(broker);
  return {
    open: () => connectBroker(served.url),
    close: async () => {
      await served.close();
      await broker.close();
    },
  };
}

async function startRedis(): Promise<Engine> {
  const server = await RedisServer.start();
  return { open: () => connectRedisBroker(server.url), close: () => server[Symbol.asyncDispose]() };
}

/** Whose channels are spread over three primaries, and count in partitions of their own. */
async function startRedisCluster(): Promise<Engine> {
  const cluster = await RedisCluster.start();
  return { open: () => connectRedisBroker(cluster.url), close: () => cluster[Symbol.asyncDispose]() };
}

async function startNats(): Promise<Engine> {
  return openNats({ partitions: 1 });
}

async function startPartitionedNats(): Promise<Engine> {
  return openNats({ partitions: 3 });
}

async function openNats(options: NatsBrokerOptions): Promise<Engine> {
  const server = await NatsServer.start();
  return { open: () => openNatsBroker(server.url, options), close: () => server.close() };
}

/** What docs/socketio.md promises, by what the broker can do. */
function orderOf({ oneSequence, atomicBatch }: Abilities): CommonOrder {
  if (oneSequence !== true) return "one-room";
  return atomicBatch === true ? "all-copies" : "all-rooms";
}
