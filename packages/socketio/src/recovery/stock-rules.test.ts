import type { Server } from "socket.io";
import { describe, expect, it } from "vitest";
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

let cluster: RecoveryCluster;
eachWithCluster((made) => {
  cluster = made;
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
    await stored(cluster, client, "grace");
    serverSide(a, client).data.name = "last words";
    client.cut();
    await stored(cluster, client, "last words");
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
    await stored(cluster, client, "grace");
    client.socket.emit("told", "ada");
    await given(client, 1);
    await stored(cluster, client, "ada");
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
