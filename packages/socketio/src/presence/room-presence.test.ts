import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import type { PresenceEvent } from "@holdfast/hub";
import type { Server } from "socket.io";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TestCluster, type TestNode, until } from "../../test/cluster.ts";
import type { RoomPresenceOptions } from "./room-presence.ts";

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

const options: RoomPresenceOptions = {
  who: ({ handshake: { auth } }) =>
    typeof auth.user === "string" ? { user: auth.user, info: { from: auth.from ?? null } } : undefined,
  rooms: (room) => room !== "hidden",
  graceMs: 60,
};
const joining = (io: Server) => {
  for (const namespace of [io, io.of("/other")]) {
    namespace.use(async (socket, next) => {
      if (socket.handshake.auth.early) await socket.join("early");
      next();
    });
    namespace.on("connection", (socket) => {
      socket.on("join", async (room, done) => {
        await socket.join(room);
        done();
      });
      socket.on("leave", (room) => socket.leave(room));
    });
  }
};
const node = (name: string) => cluster.node(name, {}, { presence: options }, joining);
const client = (at: TestNode, user?: string, more: object = {}, namespace = "/") =>
  cluster.client(at, { auth: { ...(user && { user }), ...more }, namespace });

async function follow(at: TestNode, room: string, namespace = "/") {
  const events: PresenceEvent[] = [];
  await at.holdfast.presence.follow(room, (event) => events.push(event), namespace);
  return () =>
    events.map((event) => {
      if (event.type === "here") return `here ${event.members.map(({ user }) => user).sort()}`;
      const mark = event.type === "joined" ? event.isFirst : event.type === "left" && event.isLast;
      return `${event.type} ${event.member.user}${mark ? "!" : ""}`;
    });
}

it("shows who is in a room on all nodes, by socket and by user, from the join to the leave", async () => {
  const [a, b] = [await node("a"), await node("b")];
  const told = await follow(b, "r");
  const ann = await client(a, "ann", { from: "a" });
  const annAgain = await client(b, "ann");
  const bob = await client(b, "bob");
  const nobody = await client(a);
  for (const { socket } of [ann, annAgain, bob, nobody]) await socket.emitWithAck("join", "r");
  await ann.socket.emitWithAck("join", "hidden");
  await until(async () => (await a.holdfast.presence.members("r")).length === 3);
  expect(await a.holdfast.presence.members("r")).toContainEqual({
    connection: ann.id,
    user: "ann",
    info: { from: "a" },
  });
  expect(await a.holdfast.presence.members("hidden")).toEqual([]);
  ann.socket.emit("leave", "r");
  await expect.poll(told).toEqual(["here ", "joined ann!", "joined ann", "joined bob!", "left ann"]);
  annAgain.socket.disconnect();
  await expect.poll(() => told().at(-1)).toBe("left ann!");
});

it("goes on showing a socket whose connection broke off for a while, and one that disconnected not", async () => {
  const [a, b] = [await node("a"), await node("b")];
  const told = await follow(b, "r");
  const [ann, bob] = [await client(a, "ann"), await client(a, "bob")];
  for (const { socket } of [ann, bob]) await socket.emitWithAck("join", "r");
  ann.socket.io.engine.close();
  bob.socket.disconnect();
  const annAgain = await client(b, "ann");
  await annAgain.socket.emitWithAck("join", "r");
  await expect
    .poll(() => told().slice(1).sort())
    .toEqual(["joined ann", "joined ann!", "joined bob!", "left ann", "left bob!"]);
});

it("shows a socket in the rooms that a middleware put it in, and in a namespace of its own", async () => {
  const a = await node("a");
  await client(a, "ann", { early: true });
  await client(a, "bob", { early: true }, "/other");
  const users = async (namespace?: string) =>
    (await a.holdfast.presence.members("early", namespace)).map(({ user }) => user);
  await expect.poll(() => users()).toEqual(["ann"]);
  await expect.poll(() => users("/other")).toEqual(["bob"]);
});

it("shows anew who a socket is when told that this has changed", async () => {
  const [a, b] = [await node("a"), await node("b")];
  const told = await follow(b, "r");
  const ann = await client(a, "ann");
  await ann.socket.emitWithAck("join", "r");
  const socket = a.io.sockets.sockets.get(ann.id);
  if (!socket) throw new Error("there is no such socket");
  socket.handshake.auth.user = "anna";
  a.holdfast.presence.refresh(socket);
  await expect.poll(told).toEqual(["here ", "joined ann!", "changed anna"]);
});

it("has a room's values by key on all nodes", async () => {
  const [a, b] = [await node("a"), await node("b")];
  const here = await a.holdfast.state("r");
  await here.set("topic", "tea");
  const there = await b.holdfast.state("r");
  expect(there.get("topic")).toBe("tea");
  const elsewhere = await b.holdfast.state("r", {}, "/other");
  expect(elsewhere.pairs.size).toBe(0);
  await there.set("topic", "cake");
  await expect.poll(() => here.get("topic")).toBe("cake");
  for (const state of [here, there, elsewhere]) await state.close();
});
