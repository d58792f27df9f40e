import {
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  type ServedBroker,
  serveBroker,
} from "@holdfast/broker";
import type { Server, ServerOptions, Socket } from "socket.io";
import { afterEach, beforeEach, vi } from "vitest";
import { cutOff } from "../src/backlog.ts";
import type { HoldfastOptions } from "../src/options.ts";
import { TestCluster, type TestNode, until } from "./cluster.ts";
import { Wanderer } from "./wanderer.ts";

const TOKEN = "a-token-of-the-tests";

/** Nodes with `connectionStateRecovery` around one broker that is served, each with a link of its own. */
export class RecoveryCluster {
  broker: Broker = openEmbeddedBroker();
  readonly #clients: Wanderer[] = [];
  readonly #links: Broker[] = [];
  readonly #linkOf = new Map<TestNode, Broker>();
  #served: ServedBroker | undefined;
  #cluster: TestCluster | undefined;
  #count = 0;

  async node(
    prepare: (io: Server) => void = joinLobby,
    server: Partial<ServerOptions> = {},
    options: Partial<HoldfastOptions> = {},
  ): Promise<TestNode> {
    this.#served ??= await serveBroker(this.broker, { token: TOKEN });
    const link = connectBroker(this.#served.url);
    this.#links.push(link);
    this.#cluster ??= new TestCluster(() => this.broker);
    const node = await this.#cluster.node(
      `node-${this.#count++}`,
      { connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: true }, ...server },
      { broker: link, sessionSaveMs: 20, ...options },
      prepare,
    );
    this.#linkOf.set(node, link);
    return node;
  }

  client(options?: ConstructorParameters<typeof Wanderer>[0]): Wanderer {
    const client = new Wanderer(options);
    this.#clients.push(client);
    return client;
  }

  /** The broker and the clients hear nothing more of a node, which has done nothing about it: as after SIGKILL. */
  async kill(node: TestNode): Promise<void> {
    await this.#linkOf.get(node)?.close();
    node.http.closeAllConnections();
    for (const socket of node.io.sockets.sockets.values()) cutOff(socket);
  }

  /** All connections to it end, and it can be reached again a moment later: as it was, or with nothing of what it had. */
  async restartBroker({ lost = false } = {}): Promise<void> {
    const port = Number(new URL(this.#served?.url ?? "").port);
    await this.#served?.close();
    if (lost) {
      await this.broker.close();
      this.broker = openEmbeddedBroker();
    }
    this.#served = await serveBroker(this.broker, { port, token: TOKEN });
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#cluster?.close();
    for (const link of this.#links) await link.close();
    await this.#served?.close();
    await this.broker.close();
  }
}

/** Where the recovery of a socket worked, it is in the room already. */
export function joinLobby(io: Server): void {
  io.on("connection", (socket) => {
    if (!socket.recovered) void socket.join("lobby");
  });
}

export function serverSide(node: TestNode, { id }: Wanderer, namespace = "/"): Socket {
  const socket = node.io.of(namespace).sockets.get(id);
  if (!socket) throw new Error("it is not there");
  return socket;
}

/** Each test of a file has a cluster of its own, which ends with it, and so do its mocks. */
export function eachWithCluster(use: (cluster: RecoveryCluster) => void): void {
  let cluster: RecoveryCluster;
  beforeEach(() => {
    cluster = new RecoveryCluster();
    use(cluster);
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await cluster.close();
  });
}

/** The numbers from 1. */
export function upTo(n: number): number[] {
  return Array.from({ length: n }, (_, index) => index + 1);
}

/** A client has been given so many numbers. */
export function given(client: Wanderer, count: number): Promise<void> {
  return until(() => client.numbers.length >= count);
}

/** The broker has the client's record, with this text in it. */
export function stored(cluster: RecoveryCluster, client: Wanderer, text: string): Promise<void> {
  return until(async () => (await client.record(cluster.broker))?.includes(text) === true);
}
