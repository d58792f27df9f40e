import { openEmbeddedBroker } from "@holdfast/broker";
import { seededRandom, testSeed } from "@holdfast/broker/testing";
import type { Server } from "socket.io";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GatedBroker } from "../../../hub/test/gated-broker.ts";
import { TestCluster, until } from "../../test/cluster.ts";
import { joinLobby, RecoveryCluster, serverSide } from "../../test/recovery-cluster.ts";
import type { Wanderer } from "../../test/wanderer.ts";
import { parsePlace } from "./place.ts";

let cluster: RecoveryCluster;
beforeEach(() => {
  cluster = new RecoveryCluster();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await cluster.close();
});

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);
const stored = (client: Wanderer, text: string) =>
  until(async () => (await client.record(cluster.broker))?.includes(text) === true);
const given = (client: Wanderer, count: number) => until(() => client.numbers.length >= count);

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
      await stored(client, "ada");
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

describe("as Socket.IO itself", () => {
  it("brings nobody back into a room that was left, and goes by what was given there all the same", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    await serverSide(a, client).join("den");
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    a.io.to("den").emit("n", 2);
    await given(client, 2);
    serverSide(a, client).leave("den");
    await until(async () => (await client.record(cluster.broker))?.includes('[["den"') === true);
    await cluster.kill(a);
    b.io.to("den").emit("n", "left");
    b.io.to("lobby").emit("n", 3);
    await client.connect(b);
    await given(client, 3);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(3)]);
    expect([...serverSide(b, client).rooms]).not.toContain("den");
  });

  it("leaves out what is volatile, waits for an answer, or excepts the client", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    await serverSide(a, client).join("den");
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    const { id } = client;
    client.cut();
    b.io.to("lobby").volatile.emit("n", "volatile");
    b.io
      .to("lobby")
      .timeout(200)
      .emit("n", "acknowledged", () => {});
    b.io.to("lobby").except("den").emit("n", "excepted");
    b.io.to("lobby").except(id).emit("n", "excepted");
    b.io.to("lobby").except("elsewhere").emit("n", 2);
    b.io.to(["lobby", "den", id]).emit("n", 3);
    await until(async () => (await cluster.broker.history("lobby", { limit: 0 })).head.offset === 6);
    await client.connect(b);
    b.io.to("lobby").emit("n", 4);
    await given(client, 4);
    expect(client.numbers).toEqual(upTo(4));
  });

  it.each(["client", "server"])("ends a session at once when the %s disconnects", async (side) => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    if (side === "client") client.socket.disconnect();
    else serverSide(a, client).disconnect();
    await until(async () => (await client.record(cluster.broker)) === undefined);
    await client.connect(b);
    expect(client.recovered).toBe(false);
    expect(b.events).toContainEqual({ type: "session-refused", namespace: "/", reason: "session" });
  });

  it("ends it also while something is on its way to the client that is disconnected, at once come back or not", async () => {
    const a = await cluster.node();
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    a.io.to("lobby").emit("n", 2);
    serverSide(a, client).disconnect();
    await client.connect(a);
    expect(client.recovered).toBe(false);
    expect([...a.io.sockets.sockets.keys()]).toEqual([client.id]);
    expect(a.io.of("/").adapter.sids.has(client.id)).toBe(true);
    a.io.to("lobby").emit("n", 3);
    await until(() => client.numbers.includes(3));
  });

  it("ends a session maxDisconnectionDuration after the disconnect", async () => {
    const short = { connectionStateRecovery: { maxDisconnectionDuration: 100 } };
    const a = await cluster.node(joinLobby, short);
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await client.record(cluster.broker)).toBeDefined();
    client.cut();
    await until(async () => (await client.record(cluster.broker)) === undefined);
  });

  it("saves socket.data after the client's events, whatever they changed", async () => {
    const a = await cluster.node(
      (io) => {
        io.on("connection", (socket) => {
          socket.on("rename", (name) => {
            socket.data.name = name;
          });
        });
      },
      {},
      { sessionSaveMs: 3_600_000 },
    );
    const client = cluster.client();
    await client.connect(a);
    client.socket.emit("rename", "grace");
    await stored(client, "grace");
    serverSide(a, client).data.name = "last words";
    client.cut();
    await stored(client, "last words");
  });

  it("saves what a listener changed late, as soon as it says something to the client", async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 20));
    const a = await cluster.node(
      (io) => {
        io.on("connection", (socket) => {
          socket.on("answered", async (name, answer) => {
            await late();
            socket.data.name = name;
            answer();
          });
          socket.on("told", async (name) => {
            await late();
            socket.emit("first");
            await late();
            socket.data.name = name;
            socket.emit("n", 1);
          });
        });
      },
      {},
      { sessionSaveMs: 3_600_000 },
    );
    const client = cluster.client();
    await client.connect(a);
    await client.socket.emitWithAck("answered", "grace");
    await stored(client, "grace");
    client.socket.emit("told", "ada");
    await given(client, 1);
    await stored(client, "ada");
  });
});

describe("between a restore and the connection", () => {
  const slow = (gate: { open?: () => void; error?: Error }) => (io: Server) => {
    joinLobby(io);
    io.use((socket, next) => {
      if (!socket.recovered) return next();
      gate.open = () => next(gate.error);
    });
  };
  const server = { connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: false } };

  it("keeps what comes for the socket, and hands it over after what it missed and before anything later", async () => {
    const gate: { open?: () => void } = {};
    const [a, b] = [await cluster.node(), await cluster.node(slow(gate), server)];
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    a.io.to("lobby").emit("n", 2);
    const connecting = client.connect(b);
    await until(() => gate.open !== undefined);
    for (const n of [3, 4]) a.io.to("lobby").emit("n", n);
    a.io.to(["lobby", client.id]).emit("n", 5);
    await until(async () => (await cluster.broker.history("lobby", { limit: 0 })).head.offset === 5);
    b.io.on("connection", () => b.io.to("lobby").emit("n", 6));
    gate.open?.();
    await connecting;
    await given(client, 6);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(6)]);
  });

  it("lets a client in that comes again on the same node, while its first connection still is with the middlewares", async () => {
    const opens: (() => void)[] = [];
    const slowly = (io: Server) => {
      joinLobby(io);
      io.use((socket, next) => {
        if (socket.recovered) opens.push(next);
        else next();
      });
    };
    const [a, b] = [await cluster.node(), await cluster.node(slowly, server)];
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    const first = client.connect(b).catch(() => "gone");
    await until(() => opens.length === 1);
    client.cut();
    expect(await first).toBe("gone");
    const second = client.connect(b);
    a.io.to("lobby").emit("n", 2);
    opens[0]?.();
    await until(() => opens.length === 2);
    opens[1]?.();
    await second;
    a.io.to("lobby").emit("n", 3);
    await given(client, 3);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(3)]);
  });

  it("frees it where a middleware refuses, and the client may come back", async () => {
    const gate: { open?: () => void; error?: Error } = { error: new Error("no") };
    const [a, b] = [await cluster.node(), await cluster.node(slow(gate), server)];
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    const refused = client.connect(b);
    await until(() => gate.open !== undefined);
    gate.open?.();
    await expect(refused).rejects.toThrow("no");
    await until(() => b.holdfast.counters.sessions === 0);
    expect(b.io.of("/").adapter.sids.size).toBe(0);
    a.io.to("lobby").emit("n", 2);
    await client.connect(a);
    await given(client, 2);
    expect([client.recovered, client.numbers]).toEqual([true, upTo(2)]);
  });
});

describe("starts a client anew, and never with a part of what it missed", () => {
  async function away(): Promise<[Wanderer, Awaited<ReturnType<RecoveryCluster["node"]>>]> {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    client.cut();
    return [client, b];
  }

  it("where the log no longer reaches back", async () => {
    const [client, b] = await away();
    const retention = { maxEntries: 2, maxAgeMs: 60_000 };
    for (let n = 0; n < 4; n++)
      await cluster.broker.publish("lobby", Buffer.from(`["n",${n}]`), { retention });
    await client.connect(b);
    expect(client.recovered).toBe(false);
    expect(b.events).toContainEqual({ type: "session-refused", namespace: "/", reason: "trimmed" });
    expect(b.holdfast.counters).toMatchObject({ sessionsRefused: 1, sessions: 1 });
    b.io.to("lobby").emit("n", 2);
    await given(client, 2);
    expect(client.numbers).toEqual(upTo(2));
  });

  it.each<[string, (place: string) => string]>([
    ["text that is none", () => "zzz"],
    ["another entry's tag", (place) => `${place.slice(0, -1)}${place.endsWith("x") ? "y" : "x"}`],
    ["a huge seq", (place) => place.replace(/^h1\.\w+/, "h1.1y2p0ij32e8")],
    ["an offset that is not there yet", (place) => place.replace(/\.1\.(?=[^.]*$)/, ".zz.")],
    ["another channel", (place) => place.replace(/^(h1\.\w+)\.[\w-]{8}/, "$1.AAAAAAAA")],
    ["a flood", () => "x".repeat(500_000)],
  ])("whose place is %s", async (_title, change) => {
    const [client, b] = await away();
    client.place = change(client.place ?? "");
    await client.connect(b);
    // A client that says it has more than it was given deceives itself alone.
    if (client.recovered) expect(_title).toBe("a huge seq");
    b.io.to("lobby").emit("n", 2);
    await until(() => client.numbers.includes(2));
  });

  it("whose session is of another namespace, of nobody, or only nearly the one", async () => {
    const prepare = (io: Server) => {
      joinLobby(io);
      io.of("/chat");
    };
    const a = await cluster.node(prepare);
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    const { pid, place } = client;
    const victim = serverSide(a, client);
    const others = [
      pid.slice(0, -1),
      `${pid.slice(0, -1)}${pid.endsWith("A") ? "B" : "A"}`,
      "../..",
      `${pid} `,
    ];
    for (const guess of others) {
      const thief = cluster.client();
      thief.pretend(guess, place);
      await thief.connect(a);
      expect([thief.recovered, thief.id === client.id]).toEqual([false, false]);
    }
    const thief = cluster.client({ namespace: "/chat" });
    thief.pretend(pid, place);
    await thief.connect(a);
    expect(thief.recovered).toBe(false);
    expect(victim.connected).toBe(true);
    expect(await client.record(cluster.broker)).toBeDefined();
  });

  it("whose record no longer fits, until it does again", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    const socket = serverSide(a, client);
    socket.data.big = "x".repeat(70_000);
    await until(async () => (await client.record(cluster.broker)) === undefined);
    await expect
      .poll(() => a.events)
      .toContainEqual({
        type: "session-unrecoverable",
        namespace: "/",
        socket: client.id,
        reason: "unwritable",
      });
    a.io.to("lobby").emit("n", 1);
    await given(client, 1);
    socket.data.big = "small";
    await stored(client, "small");
    client.cut();
    await client.connect(b);
    expect(client.recovered).toBe(true);
  });

  it("where the broker lost its logs: who is away is refused, who is connected is closed and refused", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const [away, here] = [cluster.client(), cluster.client()];
    for (const client of [away, here]) await client.connect(a);
    a.io.to("lobby").emit("n", 1);
    for (const client of [away, here]) await given(client, 1);
    away.cut();
    await cluster.restartBroker({ lost: true });
    await until(() => here.socket.disconnected);
    for (const client of [away, here]) {
      await client.connect(b);
      expect(client.recovered).toBe(false);
    }
    b.io.to("lobby").emit("n", 2);
    for (const client of [away, here]) await given(client, 2);
    expect([away.numbers, here.numbers]).toEqual([upTo(2), upTo(2)]);
  });

  it("who was given its last packet while entries went out of order, until it was given one in order again", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const [unsure, sure] = [cluster.client(), cluster.client()];
    for (const client of [unsure, sure]) await client.connect(a);
    await until(() => unsure.place !== undefined && sure.place !== undefined);
    const disorder = vi.spyOn(a.holdfast.hub, "inOrder", "get").mockReturnValue(false);
    a.io.to("lobby").emit("n", 1);
    for (const client of [unsure, sure]) await given(client, 1);
    unsure.cut();
    disorder.mockRestore();
    a.io.to("lobby").emit("n", 2);
    await given(sure, 2);
    sure.cut();
    for (const client of [unsure, sure]) await client.connect(b);
    expect([unsure.recovered, sure.recovered]).toEqual([false, true]);
    expect([unsure.numbers, sure.numbers]).toEqual([upTo(1), upTo(2)]);
  });

  it("for whom more came than is kept, while middlewares took their time", async () => {
    const gate: { open?: () => void } = {};
    const server = { connectionStateRecovery: { maxDisconnectionDuration: 60_000, skipMiddlewares: false } };
    const slow = (io: Server) => {
      joinLobby(io);
      io.use((socket, next) => {
        if (!socket.recovered) return next();
        gate.open = next;
      });
    };
    const [a, b] = [await cluster.node(), await cluster.node(slow, server)];
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    client.cut();
    const connecting = client.connect(b);
    await until(() => gate.open !== undefined);
    const big = Buffer.from(JSON.stringify(["big", "x".repeat(1_000_000)]));
    for (let n = 0; n < 36; n++) await cluster.broker.publish("lobby", big);
    await until(() => b.holdfast.counters.sessionsBroken === 1);
    gate.open?.();
    await connecting.catch(() => {});
    await until(() => client.socket.disconnected);
    await client.connect(b);
    expect(client.recovered).toBe(false);
    expect(client.packets.filter(([event]) => event === "big")).toEqual([]);
    expect(b.events).toContainEqual(expect.objectContaining({ type: "session-broken", reason: "behind" }));
  });

  it("in a room that was reset, and closes its connection so that it notices", async () => {
    const a = await cluster.node();
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    const { adapter } = a.io.of("/") as unknown as {
      adapter: { reset(room: string, channel: string, head: object, reason: string): void };
    };
    adapter.reset("lobby", "lobby", { epoch: "new", offset: 0, tag: "" }, "epoch");
    await until(() => client.socket.disconnected);
    await client.connect(a);
    expect(client.recovered).toBe(false);
    expect(a.holdfast.counters.sessionsBroken).toBe(1);
  });
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

it("is refused where logs are kept for a shorter time than clients may stay away", async () => {
  const retention = { maxEntries: 10, maxAgeMs: 60_000 };
  await expect(cluster.node(joinLobby, {}, { retention })).rejects.toMatchObject({
    code: "RECOVERY_RETENTION",
  });
  const forever = { connectionStateRecovery: { maxDisconnectionDuration: 48 * 3_600_000 } };
  await expect(cluster.node(joinLobby, forever)).rejects.toMatchObject({ code: "RECOVERY_DURATION" });
});

it("stores nothing and starts every client anew where entries have no order over all channels, and says so once", async () => {
  const broker = openEmbeddedBroker();
  const abilities = { ...broker.abilities, oneSequence: "There are several partitions." };
  const least = new Proxy(broker, {
    get(target, key) {
      if (key === "abilities") return abilities;
      const value = Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const plain = new TestCluster(() => least);
  const node = await plain.node("node", { connectionStateRecovery: {} }, {}, joinLobby);
  node.io.of("/chat");
  const client = cluster.client();
  await client.connect(node);
  node.io.to("lobby").emit("n", 1);
  await given(client, 1);
  expect(client.packets).toEqual([["n", 1]]);
  client.cut();
  client.place = "h1.0";
  await client.connect(node);
  expect(client.recovered).toBe(false);
  expect(node.events.filter(({ type }) => type === "recovery-unavailable")).toEqual([
    { type: "recovery-unavailable", reason: "There are several partitions." },
  ]);
  await plain.close();
  await broker.close();
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
  await stored(client, "fresh");
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
