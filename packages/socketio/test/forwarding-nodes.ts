import { createServer, type Server as HttpServer, type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect as connectTcp, type Socket as TcpSocket } from "node:net";
import { text } from "node:stream/consumers";
import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { Server, type ServerOptions } from "socket.io";
import { io as connect, type Socket } from "socket.io-client";
import { beforeEach, expect } from "vitest";
import { keeper } from "../../broker/test/keeper.ts";
import { Membership } from "../src/cluster/membership.ts";
import { adoptEngine, type ForwardingEvent } from "../src/forwarding/adopt-engine.ts";
import { type ForwardingCounters, zeroForwardingCounters } from "../src/forwarding/counters.ts";
import type { EngineServer } from "../src/forwarding/engine.ts";
import { type RoundRobin, roundRobin } from "./round-robin.ts";

/** A server whose sessions others hand requests to. */
export interface Node {
  readonly name: string;
  readonly http: HttpServer;
  readonly io: Server;
  readonly membership: Membership;
  readonly counters: ForwardingCounters;
  readonly events: ForwardingEvent[];
  readonly port: number;
  readonly url: string;
  /** Heads of all requests that its engine was given. */
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
  /** Ends as SIGKILL would: its connections are gone, its lease is not. */
  kill(): void;
}

export type Nodes = readonly Node[];
export const sum = (nodes: Nodes, key: keyof ForwardingCounters) =>
  nodes.reduce((total, { counters }) => total + counters[key], 0);

/** Nodes, clients and requests of a file's tests, ended after each. To be called once, where the tests are declared. */
export function forwardingNodes() {
  const keep = keeper();
  let current: Broker;
  beforeEach(() => {
    const made = openEmbeddedBroker();
    current = keep(made, () => made.close());
  });
  const broker = () => current;

  async function startNode(
    name: string,
    {
      server = {},
      ...options
    }: { server?: Partial<ServerOptions>; maxForwarding?: number; ttlMs?: number } = {},
  ): Promise<Node> {
    const http = createServer();
    const io = new Server(http, { ...server });
    const counters = zeroForwardingCounters();
    const events: ForwardingEvent[] = [];
    const { ttlMs = 15_000, ...forwarding } = options;
    const membership = new Membership({ broker: broker(), node: name, ttlMs });
    const adopted = adoptEngine(io.engine as unknown as EngineServer, {
      membership,
      http,
      counters,
      ...forwarding,
      onEvent: (event) => events.push(event),
    });
    const seen: Node["seen"][number][] = [];
    io.engine.use((req: { url: string; headers: IncomingHttpHeaders }, _res: unknown, next: () => void) => {
      seen.push({ url: req.url, headers: req.headers });
      next();
    });
    io.on("connection", (socket) => {
      socket.on("who", (answer: (name: string) => void) => answer(name));
      socket.on("echo", (value: unknown, answer: (value: unknown) => void) => answer(value));
    });
    const open = new Set<TcpSocket>();
    http.on("connection", (socket) => {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const { port } = http.address() as AddressInfo;
    const kill = () => {
      http.close();
      for (const socket of open) socket.resetAndDestroy();
    };
    keep(io, async () => {
      adopted.close();
      for (const socket of open) socket.destroy();
      await io.close();
      await membership.close();
    });
    return {
      name,
      http,
      io,
      membership,
      counters,
      events,
      port,
      url: `http://127.0.0.1:${port}`,
      seen,
      kill,
    };
  }

  async function startNodes(count: number, options?: Parameters<typeof startNode>[1]) {
    const nodes = await Promise.all(Array.from({ length: count }, (_, n) => startNode(`web-${n}`, options)));
    await expect
      .poll(
        () => nodes.flatMap(({ membership }) => membership.nodes().filter(({ address }) => address)).length,
      )
      .toBe(count * count);
    const proxy: RoundRobin = await roundRobin(nodes.map(({ port }) => port));
    keep(proxy, () => proxy.close());
    return { nodes, proxy, url: proxy.url };
  }

  function startClient(url: string, options: object = {}) {
    const socket = connect(url, {
      forceNew: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
      ...options,
    });
    keep(socket, () => socket.disconnect());
    const errors: string[] = [];
    socket.on("connect_error", ({ message }) => errors.push(message));
    socket.on("disconnect", (reason) => errors.push(reason));
    return { socket, errors };
  }

  /** An upgrade by hand; resolves with the first bytes that come back. */
  function upgrade(node: Node, sid: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = connectTcp(node.port, "127.0.0.1");
      keep(socket, () => socket.destroy());
      socket.once("data", (data) => resolve(data.toString("latin1")));
      socket.once("error", reject);
      socket.once("close", () => resolve(""));
      socket.write(
        `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      );
    });
  }

  return { keep, broker, startNode, startNodes, startClient, upgrade };
}

export const who = (socket: Socket): Promise<string> => socket.timeout(15_000).emitWithAck("who");
export const connected = (socket: Socket) =>
  new Promise<void>((resolve) => (socket.connected ? resolve() : socket.once("connect", resolve)));

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

/** One request on a connection of its own. */
export function send(
  url: string,
  options: { method?: string; body?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const req = request(url, { agent: false, ...rest }, (res) => {
      text(res).then(
        (read) => resolve({ status: res.statusCode ?? 0, body: read, headers: res.headers }),
        reject,
      );
    });
    req.once("error", reject);
    req.end(body);
  });
}

export const poll = (base: string, sid = "", version = 4) =>
  `${base}/socket.io/?EIO=${version}&transport=polling${sid === "" ? "" : `&sid=${encodeURIComponent(sid)}`}`;

/** Begins a session as a client does, and reads its first packets. */
export async function begin(node: Node): Promise<string> {
  const opened = await send(poll(node.url));
  const { sid } = JSON.parse(opened.body.slice(1)) as { sid: string };
  expect((await send(poll(node.url, sid), { method: "POST", body: "40" })).body).toBe("ok");
  expect((await send(poll(node.url, sid))).body).toContain("40{");
  return sid;
}

export const sessionsOf = ({ io }: Node) => Object.keys((io.engine as unknown as EngineServer).clients);

export const UNKNOWN = { status: 400, body: '{"code":1,"message":"Session ID unknown"}' };
