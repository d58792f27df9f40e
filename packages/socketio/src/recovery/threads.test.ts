import type { Server } from "socket.io";
import { expect, it } from "vitest";
import { until } from "../../test/cluster.ts";
import {
  eachWithCluster,
  given,
  joinLobby,
  type RecoveryCluster,
  serverSide,
  upTo,
} from "../../test/recovery-cluster.ts";

/** What people reported of recovery with Socket.IO's own adapters, each as its thread tells it. */

let cluster: RecoveryCluster;
eachWithCluster((made) => {
  cluster = made;
});

it("socket.io-redis-streams-adapter#27: recovers when the server died, as when the client's network did", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  a.io.to("lobby").emit("n", 1);
  await given(client, 1);
  await cluster.kill(a);
  b.io.to("lobby").emit("n", 2);
  await client.connect(b);
  await given(client, 2);
  expect([client.recovered, client.numbers]).toEqual([true, upTo(2)]);
});

it("socket.io-redis-streams-adapter#26: recovers each of a hundred reconnects, however fast they come and whatever was sent before", async () => {
  const nodes = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  const recovered: boolean[] = [];
  let sent = 0;
  for (let round = 0; round <= 100; round++) {
    const node = nodes[round % 2];
    if (!node) continue;
    await client.connect(node);
    if (round > 0) recovered.push(client.recovered);
    else await until(() => client.place !== undefined);
    if (round % 3 === 0) node.io.to("lobby").emit("n", ++sent);
    if (round % 2 === 0) client.cut();
  }
  await given(client, sent);
  expect(recovered).toEqual(Array.from({ length: 100 }, () => true));
  expect(client.numbers).toEqual(upTo(sent));
});

it("socket.io-redis-streams-adapter#48: recovers long after the connect, with much sent to others meanwhile", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  a.io.to("lobby").emit("n", 1);
  await given(client, 1);
  // Ten seconds of heartbeats and other rooms are what pushed the client's own entry out of the one stream there.
  for (let n = 0; n < 3_000; n++) {
    await cluster.broker.publish(`other-${n % 10}`, Buffer.from('["n",0]'), {
      retention: { maxEntries: 10, maxAgeMs: 60_000 },
    });
  }
  client.cut();
  b.io.to("lobby").emit("n", 2);
  await client.connect(b);
  await given(client, 2);
  expect([client.recovered, client.numbers]).toEqual([true, upTo(2)]);
});

it("socket.io#5419: does not hand out the same missed messages at each reconnect", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  a.io.to("lobby").emit("n", 1);
  await given(client, 1);
  client.cut();
  for (const n of [2, 3, 4]) a.io.to("lobby").emit("n", n);
  for (const node of [b, a, b]) {
    await client.connect(node);
    await given(client, 4);
    client.cut();
  }
  a.io.to("lobby").emit("n", 5);
  await client.connect(a);
  await given(client, 5);
  expect(client.numbers).toEqual(upTo(5));
});

it("socket.io-redis-streams-adapter#7: brings messages at once to a client that moved to another node, and no old ones later", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  a.io.to("lobby").emit("n", 1);
  await given(client, 1);
  client.cut();
  a.io.to("lobby").emit("n", 2);
  await client.connect(b);
  a.io.to(client.id).emit("n", 3);
  b.io.to("lobby").emit("n", 4);
  await given(client, 4);
  client.cut();
  await client.connect(a);
  b.io.to("lobby").emit("n", 5);
  await given(client, 5);
  expect([...client.numbers].sort()).toEqual(upTo(5));
});

it("socket.io-redis-streams-adapter#32: after the broker was restarted clients of different nodes reach each other, recovered or new", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const [one, two] = [cluster.client(), cluster.client()];
  await one.connect(a);
  await two.connect(b);
  a.io.to("lobby").emit("n", 1);
  for (const client of [one, two]) await given(client, 1);
  await cluster.restartBroker();
  b.io.to("lobby").emit("n", 2);
  for (const client of [one, two]) await given(client, 2);
  one.cut();
  a.io.to("lobby").emit("n", 3);
  await one.connect(b);
  a.io.to(one.id).emit("n", 4);
  await given(one, 4);
  await given(two, 3);
  expect([one.recovered, one.numbers, two.numbers]).toEqual([true, upTo(4), upTo(3)]);
});

it("socket.io-redis-streams-adapter#6: requests are answered while nodes come and go, and recovered sockets are among them", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  await until(() => client.place !== undefined);
  const { id } = client;
  for (let round = 0; round < 3; round++) {
    const short = await cluster.node();
    client.cut();
    await client.connect(short);
    expect(client.recovered).toBe(true);
    const fetch = () => b.io.in("lobby").fetchSockets();
    await until(async () => (await fetch()).some((socket) => socket.id === id));
    client.cut();
    await short.close();
    await client.connect(a);
    expect((await a.io.in("lobby").fetchSockets()).map((socket) => socket.id)).toEqual([id]);
  }
});

it("socket.io#4888: recovers before the first message of the server, in a rolling update", async () => {
  const a = await cluster.node();
  const client = cluster.client();
  await client.connect(a);
  const { id } = client;
  const socket = serverSide(a, client);
  socket.data.user = "ada";
  const b = await cluster.node();
  await until(() => client.place !== undefined);
  await a.close();
  await client.connect(b);
  expect([client.recovered, client.id]).toEqual([true, id]);
  expect(serverSide(b, client).data).toEqual({ user: "ada" });
  expect(serverSide(b, client).rooms.has("lobby")).toBe(true);
});

it("socket.io#5282: recovers a quiet connection whose last message is kept no more", async () => {
  const [a, b] = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  await client.connect(a);
  await until(() => client.place !== undefined);
  await cluster.broker.publish("lobby", Buffer.from('["n",1]'), {
    retention: { maxEntries: 10, maxAgeMs: 200 },
  });
  await given(client, 1);
  await until(async () => {
    const history = await cluster.broker.history("lobby", {});
    return history.type === "page" && history.entries.length === 0;
  });
  client.cut();
  await client.connect(b);
  b.io.to("lobby").emit("n", 2);
  await given(client, 2);
  expect([client.recovered, client.numbers]).toEqual([true, upTo(2)]);
});

it("socket.io#4880: recovers more than once, also while the server takes the old socket for alive", async () => {
  const nodes = [await cluster.node(), await cluster.node()];
  const client = cluster.client();
  let sent = 0;
  for (let round = 0; round < 6; round++) {
    // Twice on each node, and never a disconnect that the server could notice.
    const node = nodes[Math.floor(round / 2) % 2];
    if (!node) continue;
    await client.connect(node);
    expect(client.recovered).toBe(round > 0);
    await until(() => client.place !== undefined);
    node.io.to("lobby").emit("n", ++sent);
    await given(client, sent);
  }
  expect(client.numbers).toEqual(upTo(sent));
  const [a, b] = nodes;
  await until(() => (a?.io.sockets.sockets.size ?? 0) + (b?.io.sockets.sockets.size ?? 0) === 1);
});

it("socket.io#4968: says `recovered` on both sides where messages were missed, with them", async () => {
  const seen: boolean[] = [];
  const prepare = (io: Server) => {
    joinLobby(io);
    io.on("connection", (socket) => seen.push(socket.recovered));
  };
  const a = await cluster.node(prepare);
  const client = cluster.client();
  await client.connect(a);
  await until(() => client.place !== undefined);
  client.cut();
  for (const n of upTo(20)) a.io.to("lobby").emit("n", n);
  await client.connect(a);
  await given(client, 20);
  expect([seen, client.recovered, client.numbers]).toEqual([[false, true], true, upTo(20)]);
});
