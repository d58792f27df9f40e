import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { Server, type Socket } from "socket.io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TestCluster, until } from "../../test/cluster.ts";
import { joinLobby, RecoveryCluster } from "../../test/recovery-cluster.ts";

let broker: Broker;
let cluster: TestCluster;
beforeEach(() => {
  broker = openEmbeddedBroker();
  cluster = new TestCluster(() => broker);
});
afterEach(async () => {
  await cluster.close();
  await broker.close();
});

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** The broker takes its time, a different one for each call, before it does what it is asked for and before it answers. */
function delay(next: () => number): void {
  const wait = () => new Promise((resolve) => setTimeout(resolve, next() * 5));
  const { publish, publishAll, subscribe } = broker;
  broker.subscribe = async (...args) => {
    await wait();
    const subscription = await subscribe.apply(broker, args);
    await wait();
    return subscription;
  };
  broker.publish = async (...args) => {
    await wait();
    const published = await publish.apply(broker, args);
    await wait();
    return published;
  };
  broker.publishAll = async (...args) => {
    await wait();
    const outcomes = await publishAll.apply(broker, args);
    await wait();
    return outcomes;
  };
}

describe("what one server emits to different rooms comes in the order of its calls", () => {
  const rooms = ["r", "s", "t", "u"];

  it("however late the broker answers", async () => {
    const random = seededRandom(testSeed());
    const nodes = await cluster.nodes(2, {}, (io) => {
      io.on("connection", (socket) => void socket.join(rooms));
    });
    const clients = await Promise.all(nodes.map((node) => cluster.client(node)));
    await until(() => nodes.every(({ io }) => io.of("/").adapter.rooms.size === 5));
    await nodes[1]?.io.fetchSockets();
    delay(random.next);
    for (let n = 1; n <= 300; n++) {
      nodes[0]?.io.to(random.pick(rooms)).emit("n", n);
      if (random.below(3) === 0) await turn();
    }
    await until(() => clients.every(({ packets }) => packets.length === 300));
    for (const { packets } of clients) expect(packets.map(([, n]) => n)).toEqual(upTo(300));
  });

  it("when the connection to the broker is lost in between, and what was not answered is sent again", async () => {
    const recovery = new RecoveryCluster();
    try {
      const random = seededRandom(testSeed());
      const a = await recovery.node(joinLobby);
      const client = recovery.client();
      await client.connect(a);
      await a.io.in(client.id).fetchSockets();
      for (const socket of a.io.sockets.sockets.values()) await socket.join(rooms);
      const emitting = (async () => {
        for (let n = 1; n <= 400; n++) {
          a.io.to(random.pick(rooms)).emit("n", n);
          if (random.below(2) === 0) await turn();
        }
      })();
      await turn();
      await recovery.restartBroker();
      await emitting;
      await until(() => client.numbers.length === 400);
      expect(client.numbers).toEqual(upTo(400));
    } finally {
      await recovery.close();
    }
  });
});

/** What a server's program does when a client says so, a step at a time: all of it on this server's own sockets. */
function program(io: Server, seed: number, steps: number): void {
  const rooms = ["r", "s", "t"];
  io.on("connection", async (socket) => {
    if (socket.handshake.query.rooms) await socket.join(String(socket.handshake.query.rooms).split(","));
    socket.emit("joined");
    let said = 0;
    socket.on("say", (answer: (n: number) => void) => {
      io.to("r").emit("said", ++said);
      answer(said);
    });
    socket.on("play", async () => {
      const { below, pick } = seededRandom(seed);
      const sockets = [...io.sockets.sockets.values()].sort(byName);
      const fresh = ["r"];
      for (let n = 1; n <= steps; n++) {
        const one = pick(sockets);
        const steps: (() => unknown)[] = [
          () => io.to(pick(rooms)).emit("room", n),
          () => io.to(["s", "t"]).emit("rooms", n, Buffer.from(`${n}`)),
          () => io.emit("all", n, "text"),
          () => one.to(pick(rooms)).emit("others", n),
          () => one.broadcast.emit("broadcast", n),
          () => io.to(one.id).emit("id", n),
          () => one.emit("direct", n, { deep: Buffer.from("x") }),
          () => one.emit("asks", n, () => {}),
          () => one.emit("direct", n),
          () => one.compress(false).emit("direct", n),
          () => {
            fresh.push(`fresh ${n}`);
            for (const each of [one, pick(sockets)]) void each.join(`fresh ${n}`);
          },
          () => io.to(pick(fresh)).emit("fresh", n),
        ];
        pick(steps)();
        if (below(3) === 0) await turn();
        if (below(20) === 0) await new Promise((resolve) => setTimeout(resolve, below(8)));
      }
      io.emit("end");
    });
  });
}

const nameOf = ({ handshake }: Socket) => Number(handshake.query.name);
const byName = (one: Socket, other: Socket) => nameOf(one) - nameOf(other);

/** What each of four clients sees of the program, in order; its answers too. */
async function seenOf(url: string, transports: string[]): Promise<unknown[][]> {
  const clients = await Promise.all(
    ["r", "r,s", "r,s,t", ""].map((rooms, name) =>
      cluster.client({ url }, { transports, query: { rooms, name: `${name}` } }),
    ),
  );
  const has = (event: string) => () =>
    clients.every(({ packets }) => packets.some(([name]) => name === event));
  await until(has("joined"));
  const seen = clients.map(({ socket }) => {
    const own: unknown[][] = [];
    socket.onAny((event: string, n: unknown) => own.push([event, n]));
    return own;
  });
  clients[0]?.socket.emit("play");
  await until(has("end"));
  return seen.map((own) => own.filter(([event]) => event !== "holdfast:place" && event !== "end"));
}

describe("a client sees what one server emits to its rooms and to itself in the order of the calls, as with stock Socket.IO", () => {
  it.each([
    ["websocket", "", {}, 250],
    ["polling", "", {}, 100],
    ["websocket", ", with recovery", { connectionStateRecovery: {} }, 250],
  ])("however late the broker answers, over %s%s", async (transport, _how, options, steps) => {
    const { next, below } = seededRandom(testSeed());
    const seed = below(1_000_000);
    const http = createServer();
    const stock = new Server(http);
    program(stock, seed, steps);
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = http.address() as AddressInfo;
      const expected = await seenOf(`http://127.0.0.1:${port}`, [transport]);
      const node = await cluster.node("node", options, {}, (io) => program(io, seed, steps));
      delay(next);
      const seen = await seenOf(node.url, [transport]);
      expect(seen).toEqual(expected);
    } finally {
      await stock.close();
    }
  });

  it.each([
    ["", {}],
    [", with recovery", { connectionStateRecovery: {} }],
  ])("what a client is answered comes behind what was emitted before%s", async (_how, options) => {
    const node = await cluster.node("node", options, {}, (io) => program(io, 1, 1));
    const client = await cluster.client(node, { query: { rooms: "r" } });
    await until(() => client.packets.some(([event]) => event === "joined"));
    delay(seededRandom(testSeed()).next);
    const seen: unknown[][] = [];
    client.socket.on("said", (n) => seen.push(["said", n]));
    for (let n = 0; n < 100; n++)
      client.socket.emit("say", (answer: number) => seen.push(["answer", answer]));
    await until(() => seen.length === 200);
    expect(seen).toEqual(
      upTo(100).flatMap((n) => [
        ["said", n],
        ["answer", n],
      ]),
    );
  });

  it("and when it is disconnected right after", async () => {
    const node = await cluster.node("node", {}, {}, (io) => {
      io.on("connection", (socket) => {
        void socket.join("r");
        socket.on("go", (close: boolean) => {
          io.to("r").emit("bye", 1);
          socket.emit("bye", 2);
          io.to("r").emit("bye", 3);
          socket.emit("bye", 4, Buffer.from("x"));
          socket.disconnect(close);
          socket.emit("late");
        });
      });
    });
    delay(seededRandom(testSeed()).next);
    for (const close of [false, true]) {
      const client = await cluster.client(node);
      const gone = new Promise<string>((resolve) => client.socket.once("disconnect", resolve));
      client.socket.emit("go", close);
      expect(await gone).toBe("io server disconnect");
      expect(client.packets.map(([event, n]) => [event, n])).toEqual(upTo(4).map((n) => ["bye", n]));
    }
  });

  it("but does not wait for long for a broker that does not answer", async () => {
    const node = await cluster.node("node");
    const client = await cluster.client(node);
    const { promise: answering, resolve } = Promise.withResolvers<void>();
    const { publish } = broker;
    broker.publish = async (...args) => {
      await answering;
      return publish.apply(broker, args);
    };
    const socket = [...node.io.sockets.sockets.values()][0];
    const begun = performance.now();
    node.io.emit("late");
    socket?.emit("n", 1);
    socket?.emit("n", 2);
    node.io.local.emit("n", 3);
    await until(() => client.packets.length === 3);
    expect(performance.now() - begun).toBeGreaterThan(1_900);
    expect(client.packets).toEqual(upTo(3).map((n) => ["n", n]));
    resolve();
    await until(() => client.packets.length === 4);
    socket?.emit("n", 4);
    await until(() => client.packets.length === 5);
  });
});
