import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Broker } from "@holdfast/broker";
import { Server, type ServerOptions } from "socket.io";
import {
  type Socket as ClientSocket,
  io as connect,
  type ManagerOptions,
  type SocketOptions,
} from "socket.io-client";
import type { HoldfastEvent } from "../src/events.ts";
import { createHoldfast, type Holdfast } from "../src/holdfast.ts";
import type { HoldfastOptions } from "../src/options.ts";

export interface TestNode {
  readonly http: HttpServer;
  readonly io: Server;
  readonly holdfast: Holdfast;
  readonly url: string;
  readonly events: HoldfastEvent[];
  close(): Promise<void>;
}

export interface TestClient {
  readonly socket: ClientSocket;
  readonly id: string;
  /** Every event that came, with its arguments. */
  readonly packets: unknown[][];
}

/** Socket.IO servers in this process around one broker, with stock clients. */
export class TestCluster {
  readonly #broker: () => Broker;
  readonly #closers: (() => unknown)[] = [];

  /** @param broker gives each node its own, or all of them the same */
  constructor(broker: () => Broker) {
    this.#broker = broker;
  }

  async node(
    name: string,
    server: Partial<ServerOptions> = {},
    options: Partial<HoldfastOptions> = {},
    prepare: (io: Server) => void = () => {},
  ): Promise<TestNode> {
    const events: HoldfastEvent[] = [];
    const onEvent = (event: HoldfastEvent) => events.push(event);
    const holdfast = createHoldfast({ broker: this.#broker(), node: name, ...options, onEvent });
    const http = createServer();
    const io = new Server(http, { ...holdfast.options, ...server });
    prepare(io);
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    await holdfast.ready;
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= io.close().then(() => holdfast.close());
      return closing;
    };
    this.#closers.push(close);
    return { http, io, holdfast, url, events, close };
  }

  /** Nodes that know each other. */
  async nodes(
    count: number,
    server: Partial<ServerOptions> = {},
    prepare?: (io: Server) => void,
  ): Promise<TestNode[]> {
    const nodes = await Promise.all(
      Array.from({ length: count }, (_, n) => this.node(`node-${n}`, { ...server }, {}, prepare)),
    );
    for (const { io } of nodes) await until(async () => (await io.of("/").adapter.serverCount()) === count);
    return nodes;
  }

  /** A stock client that is connected. */
  async client(
    node: Pick<TestNode, "url">,
    options: Partial<ManagerOptions & SocketOptions> & { namespace?: string } = {},
  ): Promise<TestClient> {
    const { namespace = "/", ...rest } = options;
    const url = namespace === "/" ? node.url : `${node.url}${namespace}`;
    const socket = connect(url, { forceNew: true, transports: ["websocket"], reconnection: false, ...rest });
    this.#closers.push(() => socket.disconnect());
    const packets: unknown[][] = [];
    socket.onAny((...packet) => packets.push(packet));
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
    });
    return { socket, id: socket.id ?? "", packets };
  }

  async close(): Promise<void> {
    for (const closer of this.#closers.reverse()) await closer();
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("what was awaited did not come");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
