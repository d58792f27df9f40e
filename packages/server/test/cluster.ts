import { type Broker, openEmbeddedBroker, type ServedBroker, serveBroker } from "@holdfast/broker";
import { type ClientOptions, connect, type HoldfastClient } from "@holdfast/client";
import { startApi } from "../src/api.ts";
import {
  type ApiConfig,
  readApiConfig,
  readSocketServerConfig,
  type SocketServerConfig,
} from "../src/config.ts";
import type { RunningServer } from "../src/running-server.ts";
import { startSocketServer } from "../src/socket-server.ts";

/** Real servers on free ports of this machine around one served broker; all ends with `close`. */
export class Cluster {
  readonly broker: Broker;
  readonly served: ServedBroker;
  readonly #closers: (() => unknown)[] = [];

  private constructor(broker: Broker, served: ServedBroker) {
    this.broker = broker;
    this.served = served;
  }

  static async start(): Promise<Cluster> {
    const broker = openEmbeddedBroker();
    return new Cluster(broker, await serveBroker(broker));
  }

  environment(extra: Record<string, string> = {}): Record<string, string> {
    return {
      PORT: "0",
      HOST: "127.0.0.1",
      HOLDFAST_BROKER: this.served.url,
      HOLDFAST_LOG_LEVEL: "silent",
      HOLDFAST_PROBE_INTERVAL_MS: "100",
      HOLDFAST_PROBE_TIMEOUT_MS: "400",
      ...extra,
    };
  }

  async node(name: string, extra: Partial<SocketServerConfig> = {}): Promise<RunningServer> {
    const config = readSocketServerConfig(this.environment({ POD_NAME: name }));
    const server = await startSocketServer({ ...config, ...extra });
    this.#closers.push(() => server.close());
    return server;
  }

  async api(extra: Partial<ApiConfig> = {}): Promise<RunningServer> {
    const api = await startApi({ ...readApiConfig(this.environment()), ...extra });
    this.#closers.push(() => api.close());
    return api;
  }

  client(server: RunningServer, options: ClientOptions = {}): HoldfastClient {
    const client = connect(urlOf(server), {
      ...options,
      socket: { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 50, ...options.socket },
    });
    this.#closers.push(() => client.close());
    return client;
  }

  onClose(closer: () => unknown): void {
    this.#closers.push(closer);
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.reverse()) await closer();
    await this.served.close();
    await this.broker.close();
  }
}

export function urlOf(server: RunningServer): string {
  return `http://${server.address}:${server.port}`;
}
