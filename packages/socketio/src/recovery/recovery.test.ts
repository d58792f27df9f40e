import { seededRandom, testSeed } from "@holdfast/broker/testing";
import type { Server } from "socket.io";
import { describe, expect, it, vi } from "vitest";
import { GatedBroker } from "../../../hub/test/gated-broker.ts";
import { until } from "../../test/cluster.ts";
import {
  eachWithCluster,
  given,
  joinLobby,
  type RecoveryCluster,
  serverSide,
  stored,
  upTo,
} from "../../test/recovery-cluster.ts";
import { parsePlace } from "./place.ts";

let cluster: RecoveryCluster;
eachWithCluster((made) => {
  cluster = made;
});

describe("a client has a place to come back to", () => {
  it("from its first packet on, which says where it begins", async () => {
    const a = await cluster.node();
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.packets.length > 0);
    expect(client.packets).toEqual([["holdfast:place", "h1.0"]]);
    expect(await client.record(cluster.broker)).toContain("lobby");
  });

  it("in the last argument of whatever comes from a log, text or binary, of a room, of its own, or of all", async () => {
    const a = await cluster.node();
    const client = cluster.client();
    await client.connect(a);
    const socket = serverSide(a, client);
    socket.emit("own", "text");
    a.io.emit("all");
    a.io.to("lobby").emit("bytes", Buffer.from("x"), { deep: Buffer.from("y") });
    await until(() => client.packets.length === 4);
    for (const packet of client.packets.slice(1)) {
      expect(parsePlace(packet.at(-1))).toMatchObject({ type: "entry" });
    }
    expect(client.packets.slice(1).map((packet) => packet.slice(0, -1))).toEqual([
      ["own", "text"],
      ["all"],
      ["bytes", Buffer.from("x"), { deep: Buffer.from("y") }],
    ]);
  });

  it("that no text of a volatile or local packet takes away", async () => {
    const a = await cluster.node();
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    const { place } = client;
    const emits: [() => unknown, unknown[]][] = [
      [() => a.io.to("lobby").volatile.emit("volatile", "text"), ["volatile", "text", null]],
      [() => a.io.to("lobby").volatile.emit("bare"), ["bare", null]],
      [() => a.io.local.emit("local", "text"), ["local", "text", null]],
      [() => a.io.local.emit("number", 1), ["number", 1]],
    ];
    for (const [emit, packet] of emits) {
      const count = client.packets.length;
      emit();
      await until(() => client.packets.length > count);
      expect(client.packets.slice(count)).toEqual([packet]);
    }
    expect(client.place).toBe(place);
  });
});

describe("brings a client back, with its id, rooms, data and what it missed", () => {
  const ways = {
    "on another node": async (a: string) => a,
    "on another node after the old one was killed": async (a: string) => a,
    "on the same node": async (a: string) => a,
  };
  it.each(Object.keys(ways).flatMap((way) => ["websocket", "polling"].map((transport) => [way, transport])))(
    "%s, over %s",
    async (way = "", transport = "") => {
      const a = await cluster.node();
      const b = way.includes("same") ? a : await cluster.node();
      const other = await cluster.node();
      const client = cluster.client({ transport });
      await client.connect(a);
      const { id } = client;
      serverSide(a, client).data.user = { name: "ada" };
      await serverSide(a, client).join("den");
      other.io.to("lobby").emit("n", 1);
      await given(client, 1);
      await stored(cluster, client, "ada");
      if (way.includes("killed")) await cluster.kill(a);
      else client.cut();
      other.io.to("den").emit("n", 2);
      other.io.to(id).emit("n", 3);
      other.io.emit("n", 4);
      other.io.to(["lobby", "den"]).emit("n", 5);
      await until(async () => (await cluster.broker.history("den", { limit: 0 })).head.offset === 2);
      await client.connect(b);
      expect(client.recovered).toBe(true);
      expect(client.id).toBe(id);
      const socket = serverSide(b, client);
      expect(socket.recovered).toBe(true);
      expect([...socket.rooms].sort()).toEqual([id, "den", "lobby"].sort());
      expect(socket.data).toEqual({ user: { name: "ada" } });
      other.io.to("lobby").emit("n", 6);
      await given(client, 6);
      // In the order of each room; of different rooms, the order of their being accepted.
      expect([...client.numbers].sort()).toEqual(upTo(6));
      expect(client.numbers.indexOf(2)).toBeLessThan(client.numbers.indexOf(5));
      expect(client.strays).toEqual([]);
    },
  );

  it.each(["websocket", "polling"])(
    "faster than the old node noticed, which then drops its socket and can't write the record again, over %s",
    async (transport) => {
      const [a, b] = [await cluster.node(), await cluster.node()];
      const client = cluster.client({ transport });
      await client.connect(a);
      a.io.to("lobby").emit("n", 1);
      await given(client, 1);
      const old = serverSide(a, client);
      await client.connect(b);
      expect(client.recovered).toBe(true);
      await until(() => old.disconnected);
      old.data.late = "late";
      void old.join("late");
      b.io.to("lobby").emit("n", 2);
      await given(client, 2);
      a.io.to(client.id).emit("n", 3);
      await given(client, 3);
      expect(client.numbers).toEqual(upTo(3));
      expect(client.strays).toEqual([]);
      expect(await client.record(cluster.broker)).not.toContain("late");
      expect(a.holdfast.counters).toMatchObject({ sessions: 0, sessionsLost: 1 });
    },
  );

  it.each(["websocket", "polling"])(
    "on the same node while its old connection is still there, which ends first, over %s",
    async (transport) => {
      const a = await cluster.node();
      const client = cluster.client({ transport });
      await client.connect(a);
      a.io.to("lobby").emit("n", 1);
      await given(client, 1);
      const old = serverSide(a, client);
      let disconnectedFirst: boolean | undefined;
      a.io.on("connection", () => {
        disconnectedFirst = old.disconnected;
      });
      await client.connect(a);
      expect(client.recovered).toBe(true);
      expect(disconnectedFirst).toBe(true);
      a.io.to("lobby").emit("n", 2);
      await given(client, 2);
      expect([client.numbers, client.strays]).toEqual([upTo(2), []]);
    },
  );

  it("that was given nothing before", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    client.cut();
    for (const n of upTo(3)) b.io.to("lobby").emit("n", n);
    await client.connect(b);
    await given(client, 3);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(3)]);
  });

  it("again and again, with nothing in between and with something", async () => {
    const nodes = [await cluster.node(), await cluster.node(), await cluster.node()];
    const client = cluster.client();
    let sent = 0;
    for (let round = 0; round < 7; round++) {
      const [node, other] = [nodes[round % 3], nodes[(round + 1) % 3]];
      if (!node || !other) continue;
      await client.connect(node);
      expect(client.recovered).toBe(round > 0);
      await until(() => client.place !== undefined);
      if (round > 2) other.io.to("lobby").emit("n", ++sent);
      await given(client, sent);
      client.cut();
      if (round > 0) other.io.to("lobby").emit("n", ++sent);
    }
    await client.connect(nodes[0] as never);
    await given(client, sent);
    expect(client.numbers).toEqual(upTo(sent));
  });

  it("that drops half-way through its restore, without a message twice", async () => {
    const nodes = [await cluster.node(), await cluster.node(), await cluster.node()];
    const [a, b, c] = nodes;
    if (!a || !b || !c) throw new Error();
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    const many = 400;
    for (let n = 2; n <= many; n++) a.io.to("lobby").emit("n", n, "x".repeat(500));
    await until(async () => (await cluster.broker.history("lobby", { limit: 0 })).head.offset === many);
    for (const [node, count] of [
      [b, 1],
      [c, 100],
      [a, 200],
    ] as const) {
      await client.connect(node);
      expect(client.recovered).toBe(true);
      await given(client, count);
      client.cut();
    }
    await client.connect(b);
    await given(client, many);
    expect(client.numbers).toEqual(upTo(many));
  });

  it("in a namespace of its own, and each namespace of one connection by itself", async () => {
    const prepare = (io: Server) => joinLobby(io.of("/chat") as unknown as Server);
    const [a, b] = [await cluster.node(prepare), await cluster.node(prepare)];
    const client = cluster.client({ namespace: "/chat" });
    await client.connect(a);
    a.io.of("/chat").to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    a.io.to("lobby").emit("n", "not this");
    a.io.of("/chat").to("lobby").emit("n", 2);
    await client.connect(b);
    await given(client, 2);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(2)]);
  });
});

const seed = testSeed();

it(`loses, doubles and reorders nothing while clients wander, and one, several and all rooms are emitted to everywhere (SEED=${seed})`, {
  timeout: 60_000,
}, async () => {
  const { below, next: random, pick } = seededRandom(seed);
  const nodes = await Promise.all([1, 2, 3].map(() => cluster.node()));
  const clients = await Promise.all(
    Array.from({ length: 12 }, async (_, n) => {
      const client = cluster.client({ transport: ["polling", "upgrade"][n % 4] ?? "websocket" });
      const node = pick(nodes);
      await client.connect(node);
      if (n % 2 === 0) await serverSide(node, client).join("den");
      await until(() => client.place !== undefined);
      return client;
    }),
  );
  let sent = 0;
  let isOver = false;
  const emitting = (async () => {
    while (sent < 600) {
      const { io } = pick(nodes);
      pick([io.to(["lobby", "empty"]), io.to(["lobby", "den"]), io, io.to("lobby")]).emit("n", ++sent);
      if (random() < 0.3) await new Promise((resolve) => setTimeout(resolve, below(8)));
    }
    isOver = true;
  })();
  const refused: unknown[] = [];
  const wandering = clients.map(async (client) => {
    while (!isOver) {
      await new Promise((resolve) => setTimeout(resolve, 20 + below(150)));
      if (random() < 0.7) client.cut();
      if (random() < 0.5) await new Promise((resolve) => setTimeout(resolve, below(60)));
      await client.connect(pick(nodes));
      if (!client.recovered) refused.push(client.id);
    }
  });
  await Promise.all([emitting, ...wandering]);
  for (const client of clients) {
    await given(client, sent);
    expect([...client.numbers].sort((x, y) => Number(x) - Number(y))).toEqual(upTo(sent));
    expect(client.disorder).toBe(0);
  }
  expect(refused).toEqual([]);
});

it("recovers into a room that was silent for long, although the room's log begins after what the client has of it", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  a.io.to("lobby").emit("n", 1);
  await given(client, 1);
  a.io.to(client.id).emit("n", 2);
  await given(client, 2);
  const before = await client.record(cluster.broker);
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + 60_000);
  await until(async () => (await client.record(cluster.broker)) !== before);
  client.cut();
  const retention = { maxEntries: 1, maxAgeMs: 60_000 };
  await cluster.broker.publish("lobby", Buffer.from('["n",3]'), { retention });
  await client.connect(b);
  await given(client, 3);
  expect([client.recovered, client.numbers]).toEqual([true, upTo(3)]);
});

it("shares reads among clients that come back together", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const clients = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const client = cluster.client();
      await client.connect(a);
      return client;
    }),
  );
  const resident = cluster.client();
  await resident.connect(b);
  a.io.to("lobby").emit("n", 1);
  for (const client of [...clients, resident]) await given(client, 1);
  await cluster.kill(a);
  for (const n of [2, 3, 4]) b.io.to("lobby").emit("n", n);
  await given(resident, 4);
  const before = b.holdfast.hub.counters.reads;
  await Promise.all(clients.map((client) => client.connect(b)));
  for (const client of clients) {
    await given(client, 4);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(4)]);
  }
  expect(b.holdfast.hub.counters.reads - before).toBeLessThan(10);
});

it("gives back in order what a node reads of a room that it follows only now, and what it has not heard yet of others", async () => {
  const joinBoth = (io: Server) => {
    io.on("connection", (socket) => {
      if (!socket.recovered) void socket.join(["heard", "fresh"]);
    });
  };
  const a = await cluster.node(joinBoth);
  const link = new GatedBroker(cluster.broker);
  const b = await cluster.node(
    (io) => io.on("connection", (socket) => void socket.join("heard")),
    {},
    { broker: link },
  );
  const resident = cluster.client();
  await resident.connect(b);
  const client = cluster.client();
  await client.connect(a);
  a.io.to("heard").emit("n", 1);
  await given(client, 1);
  await given(resident, 1);
  await stored(cluster, client, "fresh");
  client.cut();
  link.hold();
  await a.holdfast.emit(a.io.to("heard"), "n", 2);
  await a.holdfast.emit(a.io.to("fresh"), "n", 3);
  const before = b.holdfast.hub.counters.reads;
  const back = client.connect(b);
  await until(() => b.holdfast.hub.counters.reads > before);
  await vi.waitFor(async () => {
    const { seq } = await cluster.broker.history("fresh", { limit: 0 });
    const own = await cluster.broker.history("holdfast:node:node-1", { limit: 0 });
    expect(own.seq).toBeGreaterThan(seq);
  });
  expect(client.socket.connected).toBe(false);
  link.release();
  await back;
  expect(client.recovered).toBe(true);
  await given(client, 3);
  expect(client.numbers).toEqual([1, 2, 3]);
  expect(client.disorder).toBe(0);
  // And so its place is one that nothing is missing before.
  client.cut();
  await client.connect(a);
  expect(client.recovered).toBe(true);
  a.io.to("heard").emit("n", 4);
  await given(client, 4);
  expect(client.numbers).toEqual([1, 2, 3, 4]);
});
