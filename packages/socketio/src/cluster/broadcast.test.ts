import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import type { Server, Socket } from "socket.io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type TestClient, TestCluster, until } from "../../test/cluster.ts";
import { bindChannels } from "../bind.ts";

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

/** Lets clients say which rooms they want to be in. */
const joining = (io: Server) => {
  io.on("connection", (socket: Socket) => {
    socket.on("join", async (room: string | string[], done: () => void) => {
      await socket.join(room);
      done();
    });
  });
};
const join = (client: TestClient, room: string | string[]) => client.socket.emitWithAck("join", room);

/** What clients got until each of them has this event. */
async function received(clients: readonly TestClient[], last: string): Promise<unknown[][][]> {
  await until(() => clients.every(({ packets }) => packets.some(([event]) => event === last)));
  return clients.map(({ packets }) => packets.filter(([event]) => event !== last));
}

describe.each(["websocket", "polling"])("over %s", (transport) => {
  it("reaches everybody in a namespace, on all nodes, each once", async () => {
    const [a, b, c] = await cluster.nodes(3);
    if (!a || !b || !c) throw new Error("too few nodes");
    const clients = await Promise.all(
      [a, a, b, c].map((node) => cluster.client(node, { transports: [transport] })),
    );
    a.io.emit("one", 1);
    b.io.emit("two", "2", { three: [3] }, Buffer.from("four"));
    c.io.emit("none");
    c.io.emit("last");
    for (const packets of await received(clients, "last")) {
      expect(packets).toHaveLength(3);
      expect(packets).toContainEqual(["one", 1]);
      expect(packets).toContainEqual(["two", "2", { three: [3] }, Buffer.from("four")]);
      expect(packets).toContainEqual(["none"]);
    }
  });

  it("reaches a room's members, but those who are excepted, wherever they are", async () => {
    const [a, b] = await cluster.nodes(2, {}, joining);
    if (!a || !b) throw new Error("too few nodes");
    const clients = await Promise.all(
      [a, a, b, b].map((node) => cluster.client(node, { transports: [transport] })),
    );
    const [first, second, third, fourth] = clients as [TestClient, TestClient, TestClient, TestClient];
    await Promise.all([join(first, "r"), join(second, ["r", "out"]), join(third, "r")]);
    a.io.to("r").except("out").emit("to the room", 1);
    b.io.except(["out", third.id]).emit("to others", 2);
    b.io.to(second.id).emit("to one", 3);
    a.io.emit("last");
    await until(() => clients.every(({ packets }) => packets.some(([event]) => event === "last")));
    await until(
      () => first.packets.length === 3 && second.packets.length === 2 && fourth.packets.length === 2,
    );
    expect(names(first)).toEqual(["last", "to others", "to the room"]);
    expect(names(second)).toEqual(["last", "to one"]);
    expect(names(third)).toEqual(["last", "to the room"]);
    expect(names(fourth)).toEqual(["last", "to others"]);
  });
});

function names({ packets }: TestClient): unknown[] {
  return packets.map(([event]) => event).sort();
}

it("leaves the sender out of what its socket broadcasts", async () => {
  const [a, b] = await cluster.nodes(2, {}, (io) => {
    joining(io);
    io.on("connection", (socket) => {
      socket.on("shout", (text) => socket.broadcast.emit("shouted", text));
      socket.on("say", (text) => socket.to("r").emit("said", text));
    });
  });
  if (!a || !b) throw new Error("too few nodes");
  const clients = await Promise.all([a, b, b].map((node) => cluster.client(node)));
  const [sender] = clients as [TestClient];
  for (const client of clients) await join(client, "r");
  sender.socket.emit("shout", 1);
  sender.socket.emit("say", 2);
  await until(() => clients.slice(1).every(({ packets }) => packets.length === 2));
  b.io.emit("last");
  const [own, ...others] = await received(clients, "last");
  expect(own).toEqual([]);
  for (const packets of others)
    expect(packets.sort()).toEqual([
      ["said", 2],
      ["shouted", 1],
    ]);
});

it("gives a socket in several of the rooms one copy, on each node", async () => {
  const [a, b] = await cluster.nodes(2, {}, joining);
  if (!a || !b) throw new Error("too few nodes");
  const clients = await Promise.all([a, b, b].map((node) => cluster.client(node)));
  const [first, second, third] = clients as [TestClient, TestClient, TestClient];
  await join(first, ["x", "y", "z"]);
  await join(second, ["x", "y"]);
  await join(third, "z");
  for (let n = 0; n < 50; n++) a.io.to(["x", "y", "z"]).emit("n", n);
  a.io.to("x").to("z").emit("last");
  const all = Array.from({ length: 50 }, (_, n) => ["n", n]);
  expect(await received(clients, "last")).toEqual([all, all, all]);
});

it("keeps the order of one node's emits to a room, and shows all members one order", async () => {
  const nodes = await cluster.nodes(3, {}, joining);
  const clients = await Promise.all(nodes.map((node) => cluster.client(node)));
  for (const client of clients) await join(client, "r");
  const random = seededRandom(testSeed());
  for (let n = 0; n < 100; n++) {
    for (const [index, { io }] of nodes.entries())
      io.to(random.below(4) === 0 ? ["r", "s"] : "r").emit("n", index, n);
    if (random.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => clients.every(({ packets }) => packets.length === 300));
  for (const { packets } of clients) {
    expect(packets).toEqual(clients[0]?.packets);
    for (const index of nodes.keys()) {
      expect(packets.filter(([, node]) => node === index).map(([, , n]) => n)).toEqual([
        ...Array(100).keys(),
      ]);
    }
  }
});

it("reaches a room that is joined in the same breath, before and after", async () => {
  const [a, b] = await cluster.nodes(2, {}, (io) => {
    io.on("connection", (socket) => {
      void socket.join("r");
      io.to("r").emit("welcome", socket.id);
      socket.on("more", async () => {
        await socket.join("s");
        io.to("s").emit("more");
      });
    });
  });
  if (!a || !b) throw new Error("too few nodes");
  const first = await cluster.client(a);
  await until(() => first.packets.length === 1);
  const second = await cluster.client(b);
  second.socket.emit("more");
  await until(() => first.packets.length === 2 && second.packets.length === 2);
  expect(first.packets).toEqual([
    ["welcome", first.id],
    ["welcome", second.id],
  ]);
  expect(second.packets).toEqual([["welcome", second.id], ["more"]]);
});

it("reaches a client by its id from every node as soon as it is told that it is connected", async () => {
  const [a, b] = await cluster.nodes(2);
  if (!a || !b) throw new Error("too few nodes");
  for (let n = 0; n < 20; n++) {
    const client = await cluster.client(b);
    a.io.to(client.id).emit("direct", n);
    a.io.emit("all", n);
    await until(() => client.packets.length === 2);
  }
});

describe("gives a socket what was emitted to it before, and nothing after", () => {
  const going = (io: Server) => {
    io.on("connection", (socket) => {
      void socket.join(["r", "s"]);
      socket.on("leave", () => {
        io.to("r").emit("bye", 1);
        io.except("s").emit("none");
        io.to(["r", "x"]).emit("bye", 2);
        socket.leave("r");
        socket.leave("s");
        io.to("r").emit("late");
        io.emit("end");
      });
      socket.on("go", (close: boolean) => {
        io.to("r").emit("bye", 1);
        io.emit("bye", 2);
        io.to(socket.id).emit("bye", 3);
        socket.disconnect(close);
        io.to("r").emit("late");
        io.emit("late");
      });
      socket.on("more", () => io.emit("more"));
    });
  };

  it("when it leaves", async () => {
    const [a, b] = await cluster.nodes(2, {}, going);
    if (!a || !b) throw new Error("too few nodes");
    const clients = await Promise.all([a, a, b].map((node) => cluster.client(node)));
    clients[0]?.socket.emit("leave");
    await until(() => clients.every((client) => names(client).includes("end")));
    await until(() => clients.slice(1).every((client) => names(client).includes("late")));
    expect(clients.map(names)).toEqual([
      ["bye", "bye", "end"],
      ["bye", "bye", "end", "late"],
      ["bye", "bye", "end", "late"],
    ]);
  });

  it.each([[false], [true]])("when it is disconnected (the connection too: %s)", async (close) => {
    const [a, b] = await cluster.nodes(2, { connectionStateRecovery: {} }, going);
    if (!a || !b) throw new Error("too few nodes");
    const [leaver, other] = (await Promise.all([a, b].map((node) => cluster.client(node)))) as [
      TestClient,
      TestClient,
    ];
    const reasons: string[] = [];
    leaver.socket.on("disconnect", (reason) => reasons.push(reason));
    leaver.socket.emit("go", close);
    leaver.socket.emit("more");
    await until(() => reasons.length === 1 && names(other).filter((name) => name === "late").length === 2);
    expect(reasons).toEqual(["io server disconnect"]);
    const seen = (client: TestClient) => names(client).filter((name) => name !== "holdfast:place");
    expect(seen(leaver)).toEqual(["bye", "bye", "bye"]);
    expect(seen(other)).toEqual(["bye", "bye", "late", "late"]);
  });
});

it("stays on this node where that is asked for", async () => {
  const [a, b] = await cluster.nodes(2);
  if (!a || !b) throw new Error("too few nodes");
  const clients = await Promise.all([a, b].map((node) => cluster.client(node)));
  a.io.local.emit("near");
  a.io.emit("last");
  expect(await received(clients, "last")).toEqual([[["near"]], []]);
});

it("hands volatile packets to whoever is there, without keeping them", async () => {
  const [a, b] = await cluster.nodes(2, {}, joining);
  if (!a || !b) throw new Error("too few nodes");
  const clients = await Promise.all([a, b].map((node) => cluster.client(node)));
  for (const client of clients) await join(client, "r");
  a.io.volatile.to("r").emit("typing", 1);
  await until(() => clients.every(({ packets }) => packets.length === 1));
  expect(clients.map(({ packets }) => packets)).toEqual([[["typing", 1]], [["typing", 1]]]);
  expect(await broker.history("r", {})).toMatchObject({ entries: [] });
});

it("carries namespaces apart, those made by a pattern too", async () => {
  const [a, b] = await cluster.nodes(2, {}, (io) => {
    io.of("/chat");
    io.of(/^\/room-\d+$/);
  });
  if (!a || !b) throw new Error("too few nodes");
  const main = await cluster.client(b);
  const chat = await cluster.client(b, { namespace: "/chat" });
  const room = await cluster.client(b, { namespace: "/room-7" });
  a.io.of("/chat").emit("chat", 1, Buffer.from("x"));
  a.io.of("/room-7").to(room.id).emit("room", 2);
  a.io.emit("main", 3);
  await until(() => [main, chat, room].every(({ packets }) => packets.length > 0));
  expect([main.packets, chat.packets, room.packets]).toEqual([
    [["main", 3]],
    [["chat", 1, Buffer.from("x")]],
    [["room", 2]],
  ]);
});

it("serves the channel of a room's name: what is published to it reaches the room, and the other way round", async () => {
  const [a] = await cluster.nodes(1, {}, joining);
  if (!a) throw new Error("too few nodes");
  const client = await cluster.client(a);
  await join(client, "lobby");
  await broker.publish("lobby", new TextEncoder().encode('["published",{"n":1}]'));
  a.io.to("lobby").emit("emitted", { n: 2 });
  await until(() => client.packets.length === 2);
  expect(client.packets).toEqual([
    ["published", { n: 1 }],
    ["emitted", { n: 2 }],
  ]);
  const history = await broker.history("lobby", {});
  if (history.type !== "page") throw new Error("no page");
  expect(history.entries.map(({ data }) => new TextDecoder().decode(data))).toEqual([
    '["published",{"n":1}]',
    '["emitted",{"n":2}]',
  ]);
});

it("gives a channel's own subscribers what is emitted to the room of its name", async () => {
  const [a, b] = await cluster.nodes(2, {}, joining);
  if (!a || !b) throw new Error("too few nodes");
  bindChannels(b.io, b.holdfast.hub, { fanOut: b.holdfast.fanOut });
  const client = await cluster.client(b);
  await client.socket.emitWithAck("holdfast:subscribe", { channel: "lobby" });
  await join(client, "lobby");
  a.io.to("lobby").emit("one", { n: 1 });
  a.io.to("lobby").emit("two", 1, "2");
  a.io.to(["lobby", "x"]).emit("none");
  await until(() => ["one", "two", "none"].every((event) => names(client).includes(event)));
  const entries = client.packets.filter(([event]) => event === "holdfast:entry");
  expect(entries.map(([, channel, offset, _tag, event, data]) => [channel, offset, event, data])).toEqual([
    ["lobby", 1, "one", { n: 1 }],
    ["lobby", 2, "two", [1, "2"]],
    ["lobby", 3, "none", null],
  ]);
});

it("gives nothing to clients of an entry that is none, and says so", async () => {
  const [a] = await cluster.nodes(1, {}, joining);
  if (!a) throw new Error("too few nodes");
  const client = await cluster.client(a);
  await join(client, "r");
  for (const text of ["nonsense", '["connect",1]', "\u0002"])
    await broker.publish("r", new TextEncoder().encode(text));
  a.io.to("r").emit("last");
  expect(await received([client], "last")).toEqual([[]]);
  expect(client.socket.connected).toBe(true);
  expect(a.events.filter(({ type }) => type === "unreadable")).toHaveLength(3);
  expect(a.holdfast.counters.unreadable).toBe(3);
});

it("tells listeners for outgoing packets, and outlives one that throws", async () => {
  const seen: unknown[][] = [];
  const [a] = await cluster.nodes(1, {}, (io) => {
    io.on("connection", (socket) => {
      socket.onAnyOutgoing((...packet) => {
        seen.push(packet);
        if (packet[0] === "bad") throw new Error("listener");
      });
    });
  });
  if (!a) throw new Error("too few nodes");
  const client = await cluster.client(a);
  a.io.emit("good", 1);
  a.io.emit("bad");
  a.io.emit("last");
  expect(await received([client], "last")).toEqual([[["good", 1], ["bad"]]]);
  expect(seen).toEqual([["good", 1], ["bad"], ["last"]]);
  expect(a.events.filter(({ type }) => type === "delivery-failed")).toHaveLength(1);
});

it("writes to clients with the server's own parser", async () => {
  const { Decoder, Encoder } = await import("socket.io-parser");
  class Shouting extends Decoder {}
  const parser = {
    Encoder: class {
      readonly #encoder = new Encoder((_key, value) => (value === "quiet" ? "LOUD" : value));
      encode(packet: Parameters<InstanceType<typeof Encoder>["encode"]>[0]) {
        return this.#encoder.encode(packet);
      }
    },
    Decoder: Shouting,
  };
  const [a, b] = await cluster.nodes(2, { parser });
  if (!a || !b) throw new Error("too few nodes");
  const client = await cluster.client(b);
  a.io.emit("say", "quiet");
  await until(() => client.packets.length === 1);
  expect(client.packets).toEqual([["say", "LOUD"]]);
});

describe("holdfast.emit", () => {
  it("resolves with the places in the logs once it is accepted", async () => {
    const [a] = await cluster.nodes(1);
    if (!a) throw new Error("too few nodes");
    const emitted = await a.holdfast.emit(a.io.to(["x", "y"]), "e", 1);
    expect(emitted.map(({ channel, position }) => [channel, position.offset])).toEqual([
      ["x", 1],
      ["y", 1],
    ]);
    expect(await a.holdfast.emit(a.io.local, "e", 1)).toEqual([]);
    expect(await a.holdfast.emit(a.io, "e", 1)).toMatchObject([{ channel: "holdfast:nsp:/" }]);
  });

  it("rejects with the broker's error, which a plain emit tells by an event", async () => {
    const [a] = await cluster.nodes(1);
    if (!a) throw new Error("too few nodes");
    const huge = "x".repeat(1024 * 1024);
    await expect(a.holdfast.emit(a.io.to("r"), "e", huge)).rejects.toMatchObject({ code: "ENTRY_TOO_LARGE" });
    a.io.to("r").emit("e", huge);
    await until(() => a.events.filter(({ type }) => type === "emit-failed").length === 2);
    expect(a.holdfast.counters.emitsFailed).toBe(2);
  });
});
