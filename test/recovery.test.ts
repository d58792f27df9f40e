import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { createHoldfast } from "@holdfast/socketio";
import { Server } from "socket.io";
import { expect, test } from "vitest";
import { type RoundRobin, roundRobin } from "../packages/socketio/test/round-robin.ts";
import { Wanderer } from "../packages/socketio/test/wanderer.ts";
import { anyBroker, type RunningBroker, startNats, startRedis, startServed } from "./support/brokers.ts";

const CLIENTS = 20;
const KILLS = 3;
const seed = testSeed();

const BROKERS: Readonly<Record<string, () => Promise<RunningBroker>>> = {
  "a served broker": startServed,
  Redis: startRedis,
  NATS: () => startNats(1),
};

/** How clients reach the servers. */
const WAYS = ["directly", "behind a balancer without any affinity"] as const;

class Node {
  readonly port: number;
  readonly child: ChildProcess;

  constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.child = child;
  }

  static async start(broker: string, name: string): Promise<Node> {
    const child = fork(join(import.meta.dirname, "support/recovery-node.ts"), [broker, name], {
      execArgv: [],
    });
    const [port] = await once(child, "message");
    return new Node(port, child);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }
}

const CASES = Object.entries(BROKERS).flatMap(([engine, start]) =>
  WAYS.map((way) => [engine, way, start] as const),
);

test.each(CASES)(
  `stock clients lose nothing, are given nothing twice or in another order, and are recovered each time, while servers on %s, reached %s, are killed (SEED=${seed})`,
  async (engine, way, start) => {
    const { below, next: random, pick } = seededRandom(seed);
    const served = await start();
    let count = 0;
    const startNode = () => Node.start(served.url, `web-${count++}`);
    const nodes = await Promise.all([startNode(), startNode(), startNode()]);
    const ports = () => nodes.map(({ port }) => port);
    const balancer: RoundRobin | undefined = way === "directly" ? undefined : await roundRobin(ports());

    // Emits, and serves nobody: what it emits is known to be accepted.
    const broker = anyBroker(served.url);
    const holdfast = createHoldfast({ broker, node: "publisher" });
    const io = new Server(createServer(), { ...holdfast.options });
    await holdfast.ready;

    const connect = async (client: Wanderer) => {
      for (let tries = 0; ; tries++) {
        try {
          return await client.connect(balancer ?? pick(nodes));
        } catch (error) {
          if (tries > 200) throw error;
          await pause(below(50));
        }
      }
    };
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, n) => {
        const client = new Wanderer({ transport: ["polling", "upgrade"][n % 4] ?? "websocket" });
        await connect(client);
        const rooms = n % 2 === 0 ? ["lobby"] : ["lobby", "den"];
        for (const room of rooms) await client.socket.timeout(10_000).emitWithAck("join", room);
        await expect.poll(() => client.place, { timeout: 10_000 }).toBeDefined();
        return { client, rooms, id: client.id, due: [] as number[], resumes: 0 };
      }),
    );

    let isOver = false;
    const refused: string[] = [];
    const wandering = clients.map(async (one) => {
      while (!isOver) {
        const { socket } = one.client;
        const until = performance.now() + 100 + below(900);
        while (socket.connected && performance.now() < until) await pause(5);
        if (socket.connected && random() < 0.7) one.client.cut();
        await pause(below(100));
        await connect(one.client);
        one.resumes++;
        if (!one.client.recovered) refused.push(one.id);
      }
    });

    let sent = 0;
    const emitting = (async () => {
      while (!isOver) {
        const n = ++sent;
        const { id } = pick(clients);
        const [rooms, to] = pick([
          [[], io],
          [["lobby"], io.to("lobby")],
          [["den"], io.to("den")],
          [["lobby", "den"], io.to(["lobby", "den"])],
          [[id], io.to(id)],
        ] as const);
        for (const one of clients) {
          const own = [one.id, ...one.rooms];
          if (rooms.length === 0 || rooms.some((room) => own.includes(room))) one.due.push(n);
        }
        await holdfast.emit(to, "n", n);
        await pause(below(8));
      }
    })();

    for (let kill = 0; kill < KILLS; kill++) {
      await pause(600 + below(400));
      const [node] = nodes.splice(below(nodes.length), 1);
      node?.child.kill("SIGKILL");
      nodes.push(await startNode());
      balancer?.setPorts(ports());
    }
    isOver = true;
    await Promise.all([emitting, ...wandering]);

    const sorted = (numbers: readonly unknown[]) => numbers.map(Number).sort((a, b) => a - b);
    for (const { client, due } of clients) {
      await expect.poll(() => client.numbers.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(due.length);
      expect(sorted(client.numbers)).toEqual(due);
      expect(client.disorder).toBe(0);
    }
    for (const { client, id, rooms } of clients) {
      const state = await client.socket.timeout(10_000).emitWithAck("state");
      expect(state).toEqual({ rooms: [id, ...rooms].sort(), joined: rooms });
    }
    const resumes = clients.reduce((sum, one) => sum + one.resumes, 0);
    console.log({ engine, way, sent, resumes, refused: refused.length, kills: KILLS });
    expect(refused).toEqual([]);
    // Without these the run would prove nothing.
    expect(resumes).toBeGreaterThan(CLIENTS * 2);
    expect(sent).toBeGreaterThan(100);

    for (const { client } of clients) client.close();
    await balancer?.close();
    await io.close();
    await holdfast.close();
    await broker.close();
    for (const { child } of nodes) child.kill("SIGKILL");
    await served.close();
  },
);
