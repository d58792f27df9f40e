import { setTimeout as pause } from "node:timers/promises";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { FaultProxy } from "../../broker/test/fault-proxy.ts";
import { freePort, NatsServer } from "./nats-server.ts";

const SERVERS = [0, 1, 2];
const READY_MS = 60_000;

/** Nobody answers a question that comes while there is no leader. */
async function askUntilAnswered<T>(
  servers: string[],
  ask: (manager: JetStreamManager) => Promise<T>,
): Promise<T> {
  const nats = await connect({ servers, maxReconnectAttempts: -1 });
  const deadline = Date.now() + READY_MS;
  try {
    for (;;) {
      try {
        return await ask(await jetstreamManager(nats, { timeout: 2000, checkAPI: false }));
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await pause(100);
      }
    }
  } finally {
    await nats.close();
  }
}

interface Route {
  readonly from: number;
  readonly to: number;
  readonly proxy: FaultProxy;
}

/** Three servers that keep each stream together. Each reaches each other one by way of a proxy of its own. */
export class NatsCluster {
  readonly servers: readonly NatsServer[];
  readonly #routes: readonly Route[];

  private constructor(servers: readonly NatsServer[], routes: readonly Route[]) {
    this.servers = servers;
    this.#routes = routes;
  }

  static async start(): Promise<NatsCluster> {
    const ports: number[] = [];
    for (const _ of SERVERS) ports.push(await freePort());
    const routes = await Promise.all(
      SERVERS.flatMap((from) => SERVERS.filter((to) => to !== from).map((to) => ({ from, to }))).map(
        async ({ from, to }) => ({ from, to, proxy: await FaultProxy.open(ports[to] as number) }),
      ),
    );
    const servers = ports.map((port, n) => {
      const urls = routes
        .filter(({ from }) => from === n)
        .map(({ proxy }) => `nats://127.0.0.1:${proxy.port}`);
      // What servers tell each other of their addresses leads nowhere, so that none goes past the proxies.
      const advertise = ["--cluster_advertise", "127.0.0.1:1", "--no_advertise"];
      const cluster = ["--cluster_name", "holdfast", "--cluster", `nats://127.0.0.1:${port}`];
      return NatsServer.start([...cluster, "--routes", urls.join(), ...advertise], `n${n + 1}`);
    });
    const cluster = new NatsCluster(await Promise.all(servers), routes);
    await cluster.ready();
    return cluster;
  }

  /** Waits until a stream can be kept by all three. */
  ready(): Promise<void> {
    return askUntilAnswered([this.urlOf(0)], async ({ streams }) => {
      await streams.add({ name: "probe", subjects: ["probe"], num_replicas: SERVERS.length });
      await streams.delete("probe");
    });
  }

  /** The address of one server alone. */
  urlOf(index: number): string {
    const server = this.servers[index];
    if (!server) throw new RangeError(`There is no server ${index}.`);
    return server.url;
  }

  /** The server that leads a stream now. */
  leaderOf(stream: string): Promise<NatsServer> {
    return askUntilAnswered(
      this.servers.map(({ url }) => url),
      async ({ streams }) => {
        const { cluster } = await streams.info(stream);
        const leader = this.servers.find(({ name }) => name === cluster?.leader);
        if (!leader) throw new Error(`Nobody leads ${stream}.`);
        return leader;
      },
    );
  }

  /** Cuts one server off from the others, but not from its clients. */
  isolate(index: number): void {
    for (const { from, to, proxy } of this.#routes) if (from === index || to === index) proxy.refuse();
  }

  heal(): void {
    for (const { proxy } of this.#routes) proxy.accept();
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()));
    await Promise.all(this.#routes.map(({ proxy }) => proxy.close()));
  }
}
