import { type Broker, connectBroker, openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { openNatsBroker } from "@holdfast/broker-nats";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { createHoldfast, type HoldfastEvent } from "@holdfast/socketio";
import { NatsServer } from "../../packages/broker-nats/test/nats-server.ts";
import { RedisServer } from "../../packages/broker-redis/test/redis-server.ts";
import { until } from "../engine.ts";
import { type Fleet, type FleetOptions, startServer } from "./fleet.ts";

/** A broker, and how each node opens its own client of it. */
interface Engine {
  open(): Broker;
  close(): Promise<void>;
}

/** The engines that Holdfast's nodes can share. */
export const ENGINES = {
  embedded: startEmbedded,
  redis: startRedis,
  nats: startNats,
} as const satisfies Readonly<Record<string, (options: FleetOptions) => Promise<Engine>>>;

export type EngineName = keyof typeof ENGINES;

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
  const engine = await ENGINES[name](options);
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
          broker,
          node: `node-${node}`,
          onEvent: (event) => onEvent(node, event),
        });
        closers.push(() => holdfast.close());
        const server = await startServer(options, holdfast.options);
        closers.push(() => server.io.close());
        await holdfast.ready;
        return server;
      }),
    );
    for (const { io } of nodes)
      await until(async () => (await io.of("/").adapter.serverCount()) === nodes.length, "nodes to meet");
    const at = (node: number) => {
      const found = nodes[node];
      if (!found) throw new RangeError(`no node ${node}`);
      return found;
    };
    return { server: (node) => at(node).io, url: (node) => at(node).url, single: false, close };
  } catch (error) {
    await close();
    throw error;
  }
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

/** In several partitions, unless there is recovery, which needs one sequence of all entries. */
async function startNats({ recovery }: FleetOptions): Promise<Engine> {
  const server = await NatsServer.start();
  const options = { partitions: recovery ? 1 : 2 };
  return { open: () => openNatsBroker(server.url, options), close: () => server.close() };
}
