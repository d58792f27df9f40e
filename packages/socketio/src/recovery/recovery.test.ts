import {
  type Broker,
  connectBroker,
  openEmbeddedBroker,
  type ServedBroker,
  serveBroker,
} from "@holdfast/broker";
import type { ServerOptions, Socket } from "socket.io";
import { afterEach, beforeEach, expect, it } from "vitest";
import { TestCluster, type TestNode, until } from "../../test/cluster.ts";
import { Wanderer } from "../../test/wanderer.ts";

let broker: Broker;
let served: ServedBroker;
let links: Broker[];
let cluster: TestCluster;

const RECOVERY: Partial<ServerOptions> = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };

beforeEach(async () => {
  broker = openEmbeddedBroker();
  served = await serveBroker(broker);
  links = [];
  cluster = new TestCluster(() => {
    const link = connectBroker(served.url);
    links.push(link);
    return link;
  });
});
afterEach(async () => {
  await cluster.close();
  for (const link of links) await link.close();
  await served.close();
  await broker.close();
});

function start(count = 2, prepare?: Parameters<TestCluster["nodes"]>[2]): Promise<TestNode[]> {
  return cluster.nodes(count, RECOVERY, prepare);
}
const joinLobby: Parameters<TestCluster["nodes"]>[2] = (io) =>
  io.on("connection", (socket) => {
    if (!socket.recovered) void socket.join("lobby");
  });

function serverSide(node: TestNode, { id }: Wanderer): Socket {
  const socket = node.io.sockets.sockets.get(id);
  if (!socket) throw new Error("it is not there");
  return socket;
}

it("says where a client begins before it is given anything else", async () => {
  const [a] = await start(1);
  const client = new Wanderer();
  await client.connect(a as TestNode);
  await until(() => client.packets.length > 0);
  expect(client.packets[0]).toEqual(["holdfast:place", "h1.0"]);
});

it("brings a client back on another node, with its id, rooms, data and what it missed", async () => {
  const [a, b] = (await start(2, joinLobby)) as [TestNode, TestNode];
  const client = new Wanderer();
  await client.connect(a);
  serverSide(a, client).data.user = "ada";
  a.io.to("lobby").emit("n", 1);
  await until(() => client.numbers.length === 1);
  await until(async () => (await client.record(broker))?.includes("ada") === true);
  const { id } = client;
  client.cut();
  for (const n of [2, 3, 4]) b.io.to("lobby").emit("n", n);
  await client.connect(b);
  expect(client.recovered).toBe(true);
  expect(client.id).toBe(id);
  const socket = b.io.sockets.sockets.get(id);
  expect([...(socket?.rooms ?? [])].sort()).toEqual([id, "lobby"].sort());
  expect(socket?.data).toEqual({ user: "ada" });
  b.io.to("lobby").emit("n", 5);
  await until(() => client.numbers.length >= 5);
  expect(client.numbers).toEqual([1, 2, 3, 4, 5]);
});
