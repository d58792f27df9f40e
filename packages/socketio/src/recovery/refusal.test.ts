import { openEmbeddedBroker } from "@holdfast/broker";
import type { Server } from "socket.io";
import { describe, expect, it, vi } from "vitest";
import { TestCluster, until } from "../../test/cluster.ts";
import {
  eachWithCluster,
  given,
  joinLobby,
  type RecoveryCluster,
  serverSide,
  stored,
  upTo,
} from "../../test/recovery-cluster.ts";
import type { Wanderer } from "../../test/wanderer.ts";
import { UNSURE } from "./place.ts";

let cluster: RecoveryCluster;
eachWithCluster((made) => {
  cluster = made;
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
    await stored(cluster, client, "small");
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

  it("who was given back what it missed by a node on which entries went out of order", async () => {
    const [a, b] = [await cluster.node(), await cluster.node()];
    const client = cluster.client();
    await client.connect(a);
    await until(() => client.place !== undefined);
    client.cut();
    a.io.to("lobby").emit("n", 1);
    const disorder = vi.spyOn(b.holdfast.hub, "inOrder", "get").mockReturnValue(false);
    await client.connect(b);
    await given(client, 1);
    expect([client.recovered, client.place]).toEqual([true, UNSURE]);
    client.cut();
    disorder.mockRestore();
    await client.connect(a);
    expect(client.recovered).toBe(false);
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
