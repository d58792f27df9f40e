import { type Broker, openEmbeddedBroker, type Published } from "@holdfast/broker";
import type { Server } from "socket.io";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type TestClient, TestCluster, type TestNode, until } from "../../test/cluster.ts";
import { Wanderer } from "../../test/wanderer.ts";

let broker: Broker;
let cluster: TestCluster;
/** Until this resolves no node is told of what became of its publishes, though all subscribers have it. */
let answering: Promise<unknown>;
/** What the broker says of one publish. */
let answered: (answer: Published) => Published;
beforeEach(() => {
  answering = Promise.resolve();
  answered = (answer) => answer;
  broker = openEmbeddedBroker();
  cluster = new TestCluster(() => answeringLate(broker));
});
afterEach(async () => {
  await cluster.close();
  await broker.close();
});

function answeringLate(real: Broker): Broker {
  return new Proxy(real, {
    get(object, key) {
      const value = Reflect.get(object, key, object);
      if (typeof value !== "function") return value;
      if (key !== "publish" && key !== "publishAll") return value.bind(object);
      return async (...args: unknown[]) => {
        const answer = await value.apply(object, args);
        await answering;
        return key === "publish" ? answered(answer as Published) : answer;
      };
    },
  });
}

/** Emits to rooms, and joins one of them at once. */
const program = (io: Server) => {
  io.on("connection", (socket) => {
    if (!socket.recovered) void socket.join("own");
    socket.on("join", async (room: string, done: () => void) => {
      await socket.join(room);
      done();
    });
    socket.on("greet", (rooms: string[], room: string, done: () => void) => {
      io.to(rooms).emit("joined", socket.id);
      void socket.join(room);
      done();
    });
    socket.on("change", (done: () => void) => {
      io.to("own").emit("for who was there");
      void socket.leave("own");
      void socket.join("own");
      done();
    });
    socket.on("change often", (times: number, done: () => void) => {
      for (let n = 0; n < times; n++) {
        void socket.leave("own");
        io.to("own").emit("out", n);
        void socket.leave("own");
        void socket.join("own");
        io.to("own").emit("in", n);
        void socket.join("own");
      }
      done();
    });
    socket.on("ask", async (room: string, done: (answers: unknown) => void) => {
      const answers = io.to(room).timeout(5_000).emitWithAck("question");
      void socket.join(room);
      done(await answers.catch(() => "nobody"));
    });
  });
};

async function start(
  options = {},
): Promise<{ a: TestNode; b: TestNode; client: TestClient; other: TestClient }> {
  const [a, b] = (await cluster.nodes(2, options, program)) as [TestNode, TestNode];
  const client = await cluster.client(a);
  const other = await cluster.client(a);
  await other.socket.emitWithAck("join", "room");
  return { a, b, client, other };
}

const eventsOf = ({ packets }: TestClient) =>
  packets.map(([event]) => event).filter((event) => !String(event).startsWith("holdfast:"));

it("comes before the broker has answered: what was emitted before the join is not for the socket, what comes later is", async () => {
  const { b, client, other } = await start();
  const { promise, resolve } = Promise.withResolvers<void>();
  answering = promise;
  const done = client.socket.emitWithAck("greet", ["room"], "room");
  await until(() => eventsOf(other).includes("joined"));
  // A server that nobody has told of the join.
  b.io.to("room").emit("later");
  b.io.to("own").emit("mine");
  await until(() => eventsOf(other).includes("mine"));
  expect(eventsOf(client)).toEqual([]);
  resolve();
  await done;
  await until(() => eventsOf(client).includes("mine"));
  expect(eventsOf(client)).toEqual(["later", "mine"]);
});

it("is given by way of another room what was emitted to several", async () => {
  const { client, other } = await start();
  await other.socket.emitWithAck("join", "another room");
  await client.socket.emitWithAck("greet", ["room", "own"], "room");
  await client.socket.emitWithAck("greet", ["own", "another room"], "another room");
  await until(() => eventsOf(other).length === 2);
  await until(() => eventsOf(client).length === 2);
  expect(eventsOf(client)).toEqual(["joined", "joined"]);
});

it("is given what was emitted while it was in the room, though it left for a moment", async () => {
  const { client } = await start();
  await client.socket.emitWithAck("change");
  await until(() => eventsOf(client).length === 1);
  expect(eventsOf(client)).toEqual(["for who was there"]);
});

it("is given nothing else, however often it leaves and joins", async () => {
  const { b, client, other } = await start();
  await other.socket.emitWithAck("join", "own");
  await client.socket.emitWithAck("change often", 20);
  b.io.to("own").emit("last");
  await until(() => [client, other].every((one) => eventsOf(one).includes("last")));
  const each = (events: string[]) => [...Array(20).keys()].flatMap((n) => events.map((event) => [event, n]));
  expect(other.packets).toEqual([...each(["out", "in"]), ["last"]]);
  expect(client.packets).toEqual([...each(["in"]), ["last"]]);
});

it("misses nothing of a log that was begun anew after the broker had accepted what was emitted before", async () => {
  const { b, client, other } = await start();
  answered = (answer) => ({
    ...answer,
    position: { epoch: "of the log that is gone", offset: 1000, tag: "" },
  });
  await client.socket.emitWithAck("greet", ["room"], "room");
  answered = (answer) => answer;
  b.io.to("room").emit("later");
  await until(() => eventsOf(other).includes("later"));
  await until(() => eventsOf(client).includes("later"));
});

it("is not waited for by an emit from before that wants answers", async () => {
  const { client, other } = await start();
  other.socket.on("question", (answer: (text: string) => void) => answer("yes"));
  client.socket.on("question", (answer: (text: string) => void) => answer("too many"));
  expect(await client.socket.emitWithAck("ask", "room")).toEqual(["yes"]);
  expect(eventsOf(client)).toEqual([]);
});

it("is not given it when its client comes back to another server, either", async () => {
  const { a, b } = await start({ connectionStateRecovery: {} });
  const { promise, resolve } = Promise.withResolvers<void>();
  const client = new Wanderer();
  await client.connect(a);
  answering = promise;
  const done = client.socket.emitWithAck("greet", ["room"], "room");
  await until(async () => (await broker.history("room", {})).head.offset === 1);
  resolve();
  await done;
  await until(async () => String(await client.record(broker)).includes('"room"'));
  client.cut();
  b.io.to("room").emit("later");
  await client.connect(b);
  expect(client.recovered).toBe(true);
  await until(() => client.packets.some(([event]) => event === "later"));
  expect(client.packets.filter(([event]) => event === "joined")).toEqual([]);
  client.close();
});
