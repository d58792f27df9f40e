import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import type { Server, Socket } from "socket.io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type TestClient, TestCluster, type TestNode, until } from "../../test/cluster.ts";
import { Membership } from "./membership.ts";

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

type Three<T> = [T, T, T];

/** Three nodes with a client on each. */
async function trio(
  prepare?: (io: Server) => void,
): Promise<{ nodes: Three<TestNode>; clients: Three<TestClient> }> {
  const nodes = (await cluster.nodes(3, {}, prepare)) as Three<TestNode>;
  const clients = (await Promise.all(nodes.map((node) => cluster.client(node)))) as Three<TestClient>;
  return { nodes, clients };
}

/** The broker, with channels that have no order in common: entries of rooms come later than what servers ask. */
function withoutSequence(broker: Broker, delayMs: number): Broker {
  const own = new Map<PropertyKey, unknown>([
    ["abilities", { ...broker.abilities, oneSequence: "It has partitions." }],
    [
      "subscribe",
      ((channel, listener, options) => {
        const late: typeof listener = (event) => {
          if (event.type === "entry") setTimeout(() => listener(event), delayMs);
          else listener(event);
        };
        return broker.subscribe(channel, channel.startsWith("holdfast:") ? listener : late, options);
      }) satisfies Broker["subscribe"],
    ],
  ]);
  return new Proxy(broker, {
    get(target, key) {
      const value = own.get(key) ?? Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const names = ({ packets }: TestClient) => packets.map(([event]) => event);

describe("fetchSockets", () => {
  it("finds the sockets of all nodes, with their rooms, data and handshake", async () => {
    const { nodes, clients } = await trio((io) => {
      io.on("connection", (socket) => {
        socket.data = { name: socket.handshake.auth.name, bytes: Buffer.from([1]) };
        void socket.join("r");
      });
    });
    const found = await nodes[0].io.fetchSockets();
    expect(found.map(({ id }) => id).sort()).toEqual(clients.map(({ id }) => id).sort());
    const remote = found.find(({ id }) => id === clients[1].id);
    expect(remote?.rooms).toEqual(new Set([clients[1].id, "r"]));
    expect(remote?.data).toEqual({ bytes: Buffer.from([1]) });
    expect(remote?.handshake).toMatchObject({ address: "127.0.0.1", query: { EIO: "4" } });
    expect(remote?.handshake).not.toHaveProperty("sessionStore");
  });

  it("finds those in a room and not in another, and only this node's where that is asked for", async () => {
    const { nodes, clients } = await trio();
    nodes[0].io.in([clients[0].id, clients[1].id]).socketsJoin("r");
    nodes[0].io.in(clients[1].id).socketsJoin("out");
    const ids = async (sockets: Promise<{ id: string }[]>) => (await sockets).map(({ id }) => id).sort();
    expect(await ids(nodes[0].io.in("r").fetchSockets())).toEqual([clients[0].id, clients[1].id].sort());
    expect(await ids(nodes[0].io.in("r").except("out").fetchSockets())).toEqual([clients[0].id]);
    expect(await ids(nodes[2].io.local.fetchSockets())).toEqual([clients[2].id]);
    expect(await nodes[2].io.in("r").allSockets()).toEqual(new Set([clients[0].id, clients[1].id]));
  });

  it("finds sockets whose answers are longer than one entry may be", async () => {
    const [a, b] = (await cluster.nodes(2, {}, (io) => {
      io.on("connection", (socket) => {
        socket.data.text = "x".repeat(200_000);
      });
    })) as [TestNode, TestNode];
    await Promise.all(Array.from({ length: 12 }, () => cluster.client(b)));
    const found = await a.io.fetchSockets();
    expect(found.map(({ data }) => data.text.length)).toEqual(Array(12).fill(200_000));
  });

  it("finds a socket whose data no message can hold without them, and says so where it is", async () => {
    const [a, b] = (await cluster.nodes(2, {}, (io) => {
      io.on("connection", (socket) => {
        socket.data = socket.handshake.query.n === "1" ? { big: 1n } : { small: 1 };
      });
    })) as [TestNode, TestNode];
    await cluster.client(b, { query: { n: "1" } });
    await cluster.client(b, { query: { n: "2" } });
    const found = await a.io.fetchSockets();
    expect(found.map(({ data }) => data)).toEqual(expect.arrayContaining([{}, { small: 1 }]));
    expect(b.events).toContainEqual({
      type: "request-failed",
      operation: "fetch",
      error: expect.any(TypeError),
    });
  });

  it("is answered at once by a node that has not the namespace", async () => {
    const [a] = (await cluster.nodes(2)) as [TestNode];
    const started = performance.now();
    expect(await a.io.of("/only-here").fetchSockets()).toEqual([]);
    expect(performance.now() - started).toBeLessThan(2_000);
  });

  it("does without the answer of a node that leaves meanwhile, and says who is missing when time is over", async () => {
    const [a] = (await cluster.nodes(1)) as [TestNode];
    const silent = new Membership({ broker, node: "silent" });
    await silent.ready;
    await until(async () => (await a.io.of("/").adapter.serverCount()) === 2);
    await expect(a.io.timeout(50).fetchSockets()).rejects.toThrow(
      "timeout reached: only 0 responses received out of 1",
    );
    const waiting = [
      a.io.timeout(20_000).fetchSockets(),
      a.io.serverSideEmitWithAck("x"),
      a.io.timeout(20_000).emitWithAck("x"),
    ];
    await silent.close();
    expect(await Promise.all(waiting)).toEqual([[], [], []]);
  });
});

describe("what is done to sockets of all nodes", () => {
  it("joins and leaves in the order of the calls, emits among them", async () => {
    const { nodes, clients } = await trio();
    const [{ io }] = nodes;
    for (let n = 0; n < 10; n++) {
      io.to("r").emit("before", n);
      io.socketsJoin("r");
      io.in("r").except(clients[1].id).socketsJoin("s");
      io.to("r").emit("in r", n);
      io.to("s").emit("in s", n);
      io.in("r").socketsLeave(["r", "s"]);
      io.to(["r", "s"]).emit("after", n);
    }
    io.emit("last");
    await until(() => clients.every((client) => names(client).includes("last")));
    const of = (client: TestClient, event: string) =>
      client.packets.filter(([name]) => name === event).map(([, n]) => n);
    const isDone = (client: TestClient) =>
      of(client, "in r").length === 10 && (client === clients[1] || of(client, "in s").length === 10);
    await until(() => clients.every(isDone));
    for (const client of clients) {
      expect(of(client, "in r")).toEqual([...Array(10).keys()]);
      expect(of(client, "in s")).toEqual(client === clients[1] ? [] : [...Array(10).keys()]);
      expect([...of(client, "before"), ...of(client, "after")]).toEqual([]);
    }
  });

  it("keeps that order where channels have none in common, and a room's entries come late", async () => {
    const partitioned = new TestCluster(() => withoutSequence(broker, 20));
    try {
      const nodes = await partitioned.nodes(2);
      const clients = await Promise.all(nodes.map((node) => partitioned.client(node)));
      const [{ io }] = nodes as [TestNode];
      for (let n = 0; n < 5; n++) {
        io.to("r").emit("before", n);
        io.socketsJoin("r");
        io.to("r").emit("in r", n);
        io.socketsLeave("r");
        io.to("r").emit("after", n);
      }
      io.socketsJoin("r");
      io.to("r").emit("bye");
      io.disconnectSockets();
      await until(() => clients.every(({ socket }) => !socket.connected));
      const expected = [...[0, 1, 2, 3, 4].map((n) => ["in r", n]), ["bye"]];
      expect(clients.map(({ packets }) => packets)).toEqual([expected, expected]);
    } finally {
      await partitioned.close();
    }
  });

  it("is done to a server's own sockets at once, whatever is on its way: what the program does next comes after it", async () => {
    const { nodes, clients } = await trio();
    const [{ io }] = nodes;
    const [{ id }, second, third] = clients;
    const socket = io.sockets.sockets.get(id) as Socket;
    io.emit("on its way");
    io.in(id).socketsJoin(["a", "b"]);
    expect([...socket.rooms]).toEqual([id, "a", "b"]);
    void socket.leave("a");
    io.in("b").socketsJoin("c");
    io.in("b").socketsLeave("b");
    expect([...socket.rooms]).toEqual([id, "c"]);
    void socket.join("b");
    io.to(["a", "b", "c"]).emit("there");
    io.in("c").disconnectSockets();
    void socket.leave("c");
    const found = await io.fetchSockets();
    expect(found.map((one) => one.id).sort()).toEqual([second.id, third.id].sort());
    await until(() => !clients[0].socket.connected);
    expect(clients.map(names)).toEqual([["on its way", "there"], ["on its way"], ["on its way"]]);
  });

  it("disconnects after what was emitted before", async () => {
    const { nodes, clients } = await trio();
    const reasons: string[] = [];
    for (const { socket } of clients) socket.on("disconnect", (reason) => reasons.push(reason));
    nodes[1].io.emit("bye", 1);
    nodes[1].io.except(clients[2].id).disconnectSockets();
    await until(() => reasons.length === 2);
    expect(reasons).toEqual(["io server disconnect", "io server disconnect"]);
    expect(clients.map(names)).toEqual([["bye"], ["bye"], ["bye"]]);
    expect(clients[2].socket.connected).toBe(true);
    nodes[1].io.disconnectSockets(true);
    await until(() => reasons.length === 3);
  });

  it("reaches one socket through what fetchSockets found", async () => {
    const { nodes, clients } = await trio((io) => {
      io.on("connection", (socket) => {
        socket.onAny((event) => socket.emit("echo", event));
      });
    });
    const found = await nodes[0].io.fetchSockets();
    const remote = found.find(({ id }) => id === clients[2].id);
    if (!remote) throw new Error("not found");
    clients[2].socket.on("question", (text, answer) => answer(`${text}!`));
    remote.join("r");
    nodes[1].io.to("r").emit("maybe");
    remote.emit("hello", 1);
    expect(await remote.timeout(5_000).emitWithAck("question", "really")).toBe("really!");
    await until(() => names(clients[2]).includes("hello"));
    nodes[0].io.to("r").emit("joined");
    await until(() => names(clients[2]).includes("joined"));
    remote.disconnect();
    await until(() => !clients[2].socket.connected);
    expect([clients[0], clients[1]].every(({ socket }) => socket.connected)).toBe(true);
  });
});

describe("serverSideEmit", () => {
  it("reaches the other nodes, with all arguments, in order", async () => {
    const heard: unknown[][] = [[], [], []];
    let node = 0;
    const [a] = (await cluster.nodes(3, {}, (io) => {
      const own = heard[node++];
      io.on("hello", (...args: unknown[]) => own?.push(args));
    })) as [TestNode];
    a.io.serverSideEmit("hello", 1, Buffer.from("x"), { three: [3] });
    a.io.serverSideEmit("hello", 2);
    await until(() => heard.slice(1).every((args) => args.length === 2));
    expect(heard).toEqual([[], ...Array(2).fill([[1, Buffer.from("x"), { three: [3] }], [2]])]);
  });

  it("collects the others' answers, and says how many are missing when time is over", async () => {
    let node = 0;
    const [a] = (await cluster.nodes(3, {}, (io) => {
      const number = node++;
      io.on("which", (answer: (value: unknown) => void) => {
        answer({ number });
        answer("twice");
      });
    })) as [TestNode];
    const answers = (await a.io.serverSideEmitWithAck("which")) as { number: number }[];
    expect(answers.map(({ number }) => number).sort()).toEqual([1, 2]);
    const alone = new TestCluster(() => openEmbeddedBroker());
    const [only] = (await alone.nodes(1)) as [TestNode];
    expect(await only.io.serverSideEmitWithAck("which")).toEqual([]);
    await alone.close();
  });
});

describe("emits with acknowledgement", () => {
  const answering = (io: Server) => {
    io.on("connection", (socket: Socket) => void socket.join("r"));
  };

  it("collect the answers of all clients on all nodes", async () => {
    const { nodes, clients } = await trio(answering);
    const more = await cluster.client(nodes[1]);
    for (const [index, { socket }] of [...clients, more].entries()) {
      socket.on("ask", (text, answer) => answer(`${text} ${index}`, "only the first counts"));
      socket.on("bytes", (bytes, answer) => answer(Buffer.from(bytes).reverse()));
    }
    expect((await nodes[0].io.timeout(5_000).emitWithAck("ask", "all")).sort()).toEqual([
      "all 0",
      "all 1",
      "all 2",
      "all 3",
    ]);
    expect(
      (
        await nodes[2].io.timeout(5_000).to(["r", clients[0].id]).except(more.id).emitWithAck("ask", "room")
      ).sort(),
    ).toEqual(["room 0", "room 1", "room 2"]);
    expect(
      await nodes[2].io.timeout(5_000).to(clients[0].id).emitWithAck("bytes", Buffer.from("abc")),
    ).toEqual([Buffer.from("cba")]);
    expect(await nodes[0].io.timeout(5_000).to("nobody").emitWithAck("ask", "x")).toEqual([]);
    expect(await nodes[0].io.timeout(5_000).local.emitWithAck("ask", "near")).toEqual(["near 0"]);
  });

  it("keep their place among other emits to the room", async () => {
    const { nodes, clients } = await trio(answering);
    for (const { socket } of clients) socket.on("ask", (_n, answer) => answer());
    const asked: Promise<unknown>[] = [];
    for (let n = 0; n < 20; n++) {
      nodes[0].io.to("r").emit("tell", n);
      asked.push(nodes[0].io.timeout(5_000).to("r").emitWithAck("ask", n));
    }
    await Promise.all(asked);
    const expected = Array.from({ length: 20 }, (_, n) => [
      ["tell", n],
      ["ask", n],
    ]).flat();
    for (const { packets } of clients) expect(packets.map(([event, n]) => [event, n])).toEqual(expected);
  });

  it("give the answers that came when time is over, and wait for no client that is gone with its node", async () => {
    const { nodes, clients } = await trio(answering);
    clients[0].socket.on("ask", (answer) => answer(0));
    clients[1].socket.on("ask", (answer) => answer(1));
    const error = await nodes[2].io
      .timeout(300)
      .emitWithAck("ask")
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ message: "operation has timed out" });
    expect((error as { responses: number[] }).responses.sort()).toEqual([0, 1]);
    await nodes[2].close();
    await until(async () => (await nodes[0].io.of("/").adapter.serverCount()) === 2);
    expect((await nodes[0].io.timeout(5_000).emitWithAck("ask")).sort()).toEqual([0, 1]);
  });

  it("end in the time-out where the broker refuses, and say so", async () => {
    const [a] = (await cluster.nodes(1)) as [TestNode];
    const huge = "x".repeat(1024 * 1024);
    await expect(a.io.timeout(50).emitWithAck("ask", huge)).rejects.toThrow("operation has timed out");
    await until(() => a.events.some(({ type }) => type === "emit-failed"));
  });

  it("leave nothing behind on sockets that did not answer", async () => {
    const { nodes, clients } = await trio(answering);
    await nodes[0].io
      .timeout(30)
      .emitWithAck("ask")
      .catch(() => undefined);
    await until(() => clients.every((client) => names(client).includes("ask")));
    const left = () =>
      nodes
        .flatMap(({ io }) => [...io.of("/").sockets.values()])
        .map((socket) => (socket as unknown as { acks: Map<number, unknown> }).acks.size);
    await until(() => left().every((size) => size === 0));
  });
});

it("takes nothing amiss from messages of other programs", async () => {
  const [a, b] = (await cluster.nodes(2)) as [TestNode, TestNode];
  const client = await cluster.client(b);
  const { encodeControl } = await import("./control-message.ts");
  const say = (message: object) =>
    broker.publish(
      "holdfast:cluster",
      encodeControl({ namespace: "/", from: "x", args: [], ...message } as never),
    );
  await broker.publish("holdfast:cluster", new TextEncoder().encode("nonsense"));
  for (const type of ["join", "leave", "disconnect", "fetch", "ids", "emit", "count"]) {
    for (const args of [[], [1], [null], [[1, 2], 3], [[["r"], {}], "x"], [{}, []], [[[{}], []], [{}]]]) {
      await say({ type, args });
      await say({ type, args, request: "1" });
      await say({ type, args, namespace: "/none", request: "2" });
    }
  }
  await say({ type: "answer", request: "1" });
  await say({ type: "acknowledgement", request: "a1" });
  expect(await a.io.fetchSockets()).toHaveLength(1);
  expect(client.socket.connected).toBe(true);
  expect(a.events.filter(({ type }) => type === "unreadable")).toHaveLength(1);
});
