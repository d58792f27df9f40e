import type { Broker } from "@holdfast/broker";
import type { Server } from "socket.io";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TestClient, TestCluster, type TestNode, until } from "../packages/socketio/test/cluster.ts";
import { Wanderer } from "../packages/socketio/test/wanderer.ts";
import {
  anyBroker,
  type RunningBroker,
  startNats,
  startRedis,
  startRedisCluster,
  startServed,
} from "./support/brokers.ts";

const BROKERS: Readonly<Record<string, () => Promise<RunningBroker>>> = {
  "a served broker": startServed,
  Redis: startRedis,
  "a Redis Cluster of three primaries": startRedisCluster,
  NATS: () => startNats(1),
  "NATS with several streams": () => startNats(4),
};

const roomGoer = (io: Server) => {
  io.on("connection", (socket) => {
    socket.on("join", async (rooms: string[], done: () => void) => {
      await socket.join(rooms);
      done();
    });
  });
};

describe.each(Object.entries(BROKERS))("on %s", (_title, start) => {
  const brokers: Broker[] = [];
  let running: RunningBroker;
  let cluster: TestCluster;
  let nodes: TestNode[];
  let clients: TestClient[];
  beforeAll(async () => {
    running = await start();
    cluster = new TestCluster(() => {
      const broker = anyBroker(running.url);
      brokers.push(broker);
      return broker;
    });
    nodes = await cluster.nodes(3, {}, roomGoer);
    clients = await Promise.all(nodes.map((node) => cluster.client(node)));
  });
  afterAll(async () => {
    await cluster?.close();
    for (const broker of brokers) await broker.close();
    await running?.close();
  });

  const io = (index: number) => (nodes[index] as TestNode).io;
  const of = (client: TestClient, event: string) =>
    client.packets.filter(([name]) => name === event).map(([, ...args]) => args);

  it("reaches rooms, everybody and one socket over nodes, in one order for all", async () => {
    for (const [index, { socket }] of clients.entries()) {
      await socket.emitWithAck("join", index === 2 ? ["a", "b", "odd room"] : ["a", "b"]);
    }
    for (let n = 0; n < 100; n++) {
      io(n % 3)
        .to("a")
        .emit("room", n % 3, n);
      io(n % 3)
        .to(["a", "b"])
        .emit("rooms", n % 3, n);
      io(n % 3).emit("all", n % 3, n, Buffer.from([n]));
    }
    await until(() =>
      clients.every((client) => ["room", "rooms", "all"].every((event) => of(client, event).length === 100)),
    );
    for (const event of ["room", "all"]) {
      for (const client of clients) expect(of(client, event)).toEqual(of(clients[0] as TestClient, event));
      const own = of(clients[1] as TestClient, event).filter(([node]) => node === 0);
      expect(own.map(([, n]) => n)).toEqual(Array.from({ length: 34 }, (_, n) => n * 3));
    }
    const [first, , third] = clients as [TestClient, TestClient, TestClient];
    io(0).to(third.id).emit("direct", 1);
    io(1).to("odd room").except(first.id).emit("odd", 2);
    await until(() => of(third, "direct").length + of(third, "odd").length === 2);
    expect(of(first, "direct")).toEqual([]);
  });

  it("collects acknowledgements, finds sockets, and asks other servers", async () => {
    for (const [index, { socket }] of clients.entries()) socket.on("ask", (answer) => answer(index));
    expect((await io(0).timeout(10_000).emitWithAck("ask")).sort()).toEqual([0, 1, 2]);
    expect((await io(1).timeout(10_000).to("a").emitWithAck("ask")).sort()).toEqual([0, 1, 2]);
    expect(await io(1).timeout(10_000).to("nobody").emitWithAck("ask")).toEqual([]);
    expect((await io(2).in("a").fetchSockets()).map(({ id }) => id).sort()).toEqual(
      clients.map(({ id }) => id).sort(),
    );
    for (const index of [0, 1, 2]) io(index).on("which", (answer: (value: number) => void) => answer(index));
    expect((await io(2).serverSideEmitWithAck("which")).sort()).toEqual([0, 1]);
  });

  it("hands volatile packets to whoever can take them", async () => {
    await until(async () => {
      io(1).volatile.to("a").emit("typing");
      await new Promise((resolve) => setTimeout(resolve, 5));
      return clients.every((client) => of(client, "typing").length > 0);
    });
  });

  it("joins and leaves over nodes in the order of the calls, emits among them", async () => {
    for (let n = 0; n < 20; n++) {
      io(0).to("c").emit("before", n);
      io(0).socketsJoin("c");
      io(0).to("c").emit("within", n);
      io(0).socketsLeave("c");
      io(0).to("c").emit("after", n);
    }
    await until(() => clients.every((client) => of(client, "within").length === 20));
    for (const client of clients) {
      expect(of(client, "within")).toEqual(Array.from({ length: 20 }, (_, n) => [n]));
      expect([...of(client, "before"), ...of(client, "after")]).toEqual([]);
    }
  });

  it("reaches a client from every node as soon as it is connected, and a room as soon as it is joined", async () => {
    for (let n = 0; n < 10; n++) {
      const client = await cluster.client(nodes[n % 3] as TestNode, {
        transports: [n % 2 === 0 ? "websocket" : "polling"],
      });
      io((n + 1) % 3)
        .to(client.id)
        .emit("hello", n);
      await client.socket.emitWithAck("join", [`r${n}`]);
      io((n + 2) % 3)
        .to(`r${n}`)
        .emit("room", n);
      await until(() => ["hello", "room"].every((event) => of(client, event).length === 1));
      client.socket.disconnect();
    }
  });

  it.each([{}, { connectionStateRecovery: {} }])(
    "gives who joins a room nothing that its server emitted to it before, and holds up nobody (%o)",
    async (options) => {
      const own: Broker[] = [];
      const servers = new TestCluster(() => {
        const broker = anyBroker(running.url);
        own.push(broker);
        return broker;
      });
      const greet = (server: Server) => {
        server.on("connection", (socket) => {
          socket.on("greet", (room: string, done: () => void) => {
            server.to(room).emit("joined", room);
            void socket.join(room);
            done();
            server.to(room).emit("hello", room);
          });
        });
      };
      try {
        const first = await servers.node("first", options, {}, greet);
        const second = await servers.node("second", options, {}, greet);
        const client = await servers.client(first);
        const resident = await servers.client(first);
        const other = await servers.client(second);
        const rooms = Array.from({ length: 20 }, (_, n) => `${n % 2 === 0 ? "empty" : "lively"} ${n}`);
        for (const [n, room] of rooms.entries()) {
          // Nobody is there, somebody of this server, or of the other one.
          if (n % 2 === 1) await (n % 4 === 1 ? resident : other).socket.emitWithAck("greet", room);
          await client.socket.emitWithAck("greet", room);
          second.io.to(room).emit("from the other", room);
        }
        const told = (one: TestClient, event: string) => of(one, event).map(([room]) => room);
        await until(() => told(client, "from the other").length === rooms.length);
        await until(() => told(client, "hello").length === rooms.length);
        expect(told(client, "joined")).toEqual([]);
        expect([...told(client, "hello")].sort()).toEqual([...rooms].sort());
        const lively = rooms.filter((_, n) => n % 2 === 1);
        for (const [index, one] of [resident, other].entries()) {
          const theirs = lively.filter((_, n) => n % 2 === index);
          await until(() => told(one, "hello").length === 2 * theirs.length);
          expect(told(one, "joined")).toEqual(theirs);
        }
      } finally {
        await servers.close();
        for (const broker of own) await broker.close();
      }
    },
  );

  it("brings back a client at another node with all that it missed, or starts it anew and says why", async () => {
    const brought: Broker[] = [];
    const servers = new TestCluster(() => {
      const broker = anyBroker(running.url);
      brought.push(broker);
      return broker;
    });
    const client = new Wanderer();
    try {
      const joinBoth = (server: Server) => {
        server.on("connection", (socket) => {
          if (!socket.recovered) void socket.join(["left", "right"]);
        });
      };
      const recovering = { connectionStateRecovery: {} };
      const first = await servers.node("first", recovering, {}, joinBoth);
      const second = await servers.node("second", recovering, {}, joinBoth);
      await client.connect(first);
      const said = (from: number, to: number) => {
        for (let n = from; n < to; n++) second.io.to(n % 2 === 0 ? "left" : "right").emit("n", n);
      };
      await until(async () => (await second.io.in("left").in("right").fetchSockets()).length === 1);
      said(0, 10);
      await until(() => client.numbers.length === 10);
      client.cut();
      said(10, 20);
      await client.connect(second);
      const { oneSequence } = (brought[0] as Broker).abilities;
      expect(client.recovered).toBe(oneSequence === true);
      said(20, 30);
      const missed = oneSequence === true ? [10, 11, 12, 13, 14, 15, 16, 17, 18, 19] : [];
      const numbers = [...Array(10).keys(), ...missed, ...Array.from({ length: 10 }, (_, n) => n + 20)];
      await until(() => client.numbers.length >= numbers.length);
      expect([...client.numbers].sort((a, b) => Number(a) - Number(b))).toEqual(numbers);
      for (const parity of [0, 1]) {
        const ofRoom = (all: unknown[]) => all.filter((n) => Number(n) % 2 === parity);
        expect(ofRoom(client.numbers)).toEqual(ofRoom(numbers));
      }
      for (const { events, holdfast } of [first, second]) {
        const told = events.filter(({ type }) => type === "recovery-unavailable");
        expect(told).toEqual(
          oneSequence === true ? [] : [{ type: "recovery-unavailable", reason: oneSequence }],
        );
        expect(holdfast.counters.sessionsRecovered > 0).toBe(
          client.recovered && holdfast === second.holdfast,
        );
      }
    } finally {
      client.close();
      await servers.close();
      for (const broker of brought) await broker.close();
    }
  });
});
