import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import type { Server } from "socket.io";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type TestClient, TestCluster, type TestNode, until } from "../../test/cluster.ts";
import { decodeSessionRecord } from "../recovery/session-record.ts";

let broker: Broker;
let cluster: TestCluster;
/** Channels that have "slow" in their names are followed, and records of sessions written, only when these resolve. */
let following: Promise<unknown>;
let writing: Promise<unknown>;
beforeEach(() => {
  following = Promise.resolve();
  writing = Promise.resolve();
  broker = openEmbeddedBroker();
  cluster = new TestCluster(() => slowed(broker));
});
afterEach(async () => {
  await cluster.close();
  await broker.close();
});

function slowed(real: Broker): Broker {
  const late = <T extends object>(target: T, name: string, until: (first: unknown) => Promise<unknown>): T =>
    new Proxy(target, {
      get(object, key) {
        const value = Reflect.get(object, key, object);
        if (typeof value !== "function") return value;
        if (key !== name) return value.bind(object);
        return async (...args: unknown[]) => {
          await until(args[0]);
          return value.apply(object, args);
        };
      },
    });
  const leases = late(real.leases, "put", () => writing);
  const broker = late(real, "subscribe", async (channel) => {
    if (String(channel).includes("slow")) await following;
  });
  return new Proxy(broker, {
    get: (object, key) => (key === "leases" ? leases : Reflect.get(object, key, object)),
  });
}

/** A program as most are: nothing waits for a join. */
const program = (io: Server) => {
  io.on("connection", (socket) => {
    socket.on("join", (room: string, ...args: unknown[]) => {
      const done = args.at(-1);
      void socket.join(room);
      if (typeof done === "function") done();
      else socket.emit("joined", room);
    });
    socket.on("tell", (room: string, others: string) => {
      void socket.join(room);
      io.to(others).emit("joined", socket.id);
    });
    socket.on("whisper", (room: string) => {
      void socket.join(room);
      io.volatile.emit("joined", socket.id);
    });
    socket.on("hint", (room: string) => {
      void socket.join(room);
      io.serverSideEmit("hinted", room);
    });
    socket.on("leave", (room: string, done: () => void) => {
      void socket.leave(room);
      done();
    });
    socket.on("say", (done: () => void) => done());
  });
  io.on("hinted", (room: string) => io.to(room).emit("hint", room));
  io.on("which", (answer: (rooms: string[]) => void) => answer([...io.of("/").adapter.rooms.keys()]));
};

async function pair(
  options = {},
): Promise<{ a: TestNode; b: TestNode; here: TestClient; there: TestClient }> {
  const [a, b] = (await cluster.nodes(2, options, program)) as [TestNode, TestNode];
  const here = await cluster.client(a);
  const there = await cluster.client(b);
  return { a, b, here, there };
}

const of = ({ packets }: TestClient, event: string) => packets.filter(([name]) => name === event);

/** One that is asked is so once the socket has joined. */
type Hear = (all: Awaited<ReturnType<typeof pair>>) => Promise<unknown>;

/** Says whether it has ended. */
function watched(promise: Promise<unknown>): { isDone: boolean; promise: Promise<unknown> } {
  const watched = { isDone: false, promise };
  const done = () => {
    watched.isDone = true;
  };
  promise.then(done, done);
  return watched;
}

/** Whatever waits for no join has come by then: the other server has asked the one that joins, and been answered, several times. */
async function afterRoundTrips({ b, there }: Awaited<ReturnType<typeof pair>>): Promise<void> {
  there.socket.on("are you there", (answer: () => void) => answer());
  for (let n = 0; n < 5; n++) {
    await b.io.to(there.id).timeout(5_000).emitWithAck("are you there");
    await there.socket.emitWithAck("say");
  }
  there.socket.off("are you there");
}

describe.each([
  ["", {}],
  [", with recovery", { connectionStateRecovery: {} }],
])("whoever hears of a join from its server can rely on it, awaited or not%s", (_how, options) => {
  it.each([
    ["the client, by the answer to what it said", ({ here }) => here.socket.emitWithAck("join", "slow")],
    [
      "the client, by an emit to it",
      async ({ here }) => {
        here.socket.emit("join", "slow");
        await until(() => of(here, "joined").length === 1);
      },
    ],
    [
      "a client of another server, by an emit to another room",
      async ({ here, there }) => {
        here.socket.emit("tell", "slow", there.id);
        await until(() => of(there, "joined").length === 1);
      },
    ],
    [
      "a client of another server, by a volatile emit",
      async ({ here, there }) => {
        here.socket.emit("whisper", "slow");
        await until(() => of(there, "joined").length === 1);
      },
    ],
    [
      "another server that looks for sockets",
      async ({ b, here }) => expect(await b.io.in("slow").fetchSockets()).toMatchObject([{ id: here.id }]),
      "is asked",
    ],
    [
      "the server itself, when it looks for sockets of all",
      async ({ a, here }) => expect(await a.io.in("slow").fetchSockets()).toMatchObject([{ id: here.id }]),
      "is asked",
    ],
    [
      "another server that looks for their names",
      async ({ b, here }) => expect([...(await b.io.in("slow").allSockets())]).toEqual([here.id]),
      "is asked",
    ],
    [
      "another server's program, by its answer",
      async ({ b }) =>
        expect(await b.io.serverSideEmitWithAck("which")).toEqual([expect.arrayContaining(["slow"])]),
      "is asked",
    ],
  ] as [string, Hear, "is asked"?][])("%s", async (_who, hear, how) => {
    const all = await pair(options);
    const { promise, resolve } = Promise.withResolvers<void>();
    following = promise;
    if (how === "is asked") all.here.socket.emit("join", "slow");
    const joined = until(() => all.a.io.of("/").adapter.rooms.has("slow"));
    if (how === "is asked") await joined;
    const heard = watched(hear(all));
    await joined;
    await afterRoundTrips(all);
    expect(heard.isDone).toBe(false);
    resolve();
    await heard.promise;
    all.b.io.to("slow").emit("e");
    await until(() => of(all.here, "e").length === 1);
  });

  it("another server, by what it is told", async () => {
    const all = await pair(options);
    const { here } = all;
    const { promise, resolve } = Promise.withResolvers<void>();
    following = promise;
    here.socket.emit("hint", "slow");
    await until(() => all.a.io.of("/").adapter.rooms.has("slow"));
    await afterRoundTrips(all);
    resolve();
    await until(() => of(here, "hint").length === 1);
  });

  it("but nobody waits longer than 2 s for a broker that does not answer, and then no more", async () => {
    const { a, b, here, there } = await pair(options);
    const another = await cluster.client(a);
    following = new Promise(() => {});
    const begun = performance.now();
    const since = () => performance.now() - begun;
    const joined = watched(here.socket.emitWithAck("join", "slow 0"));
    const answered = joined.promise.then(since);
    await until(() => a.io.of("/").adapter.rooms.has("slow 0"));
    // Another socket has nothing to wait for.
    await another.socket.emitWithAck("say");
    expect(joined.isDone).toBe(false);
    a.io.emit("all");
    const delivered = until(() => of(there, "all").length === 1).then(since);
    expect(await a.io.timeout(1_500).fetchSockets()).toHaveLength(3);
    expect(await b.io.timeout(1_500).fetchSockets()).toHaveLength(3);
    for (const time of [await answered, await delivered]) expect(time).toBeGreaterThan(1_900);
    const late = performance.now();
    for (let n = 1; n <= 5; n++) {
      await another.socket.emitWithAck("join", `slow ${n}`);
      a.io.emit("all");
      await until(() => of(there, "all").length === 1 + n);
    }
    // Less than 2 s for each of them.
    expect(performance.now() - late).toBeLessThan(8_000);
  });
});

it("goes on waiting for joins once one that took too long is in effect", async () => {
  const all = await pair();
  const { a, here } = all;
  let resolve = () => {};
  const wait = () => {
    ({ promise: following, resolve } = Promise.withResolvers<void>());
  };
  wait();
  await here.socket.emitWithAck("join", "slow 1");
  const late = resolve;
  late();
  await until(() => a.holdfast.hub.counters.channels > 0 && a.io.of("/").adapter.rooms.has("slow 1"));
  a.io.to("slow 1").emit("e");
  await until(() => of(here, "e").length === 1);
  wait();
  const heard = watched(here.socket.emitWithAck("join", "slow 2"));
  await afterRoundTrips(all);
  expect(heard.isDone).toBe(false);
  resolve();
  await heard.promise;
});

it("lets a client that is told of a join or a leave come back to just those rooms", async () => {
  const all = await pair({ connectionStateRecovery: {} });
  const { a, here } = all;
  await here.socket.emitWithAck("join", "r");
  const rooms = async () => {
    const [socket] = [...a.io.sockets.sockets.values()];
    const { pid } = socket as unknown as { pid: string };
    const [lease] = await broker.leases.list(`holdfast:session:${pid}`);
    return lease && decodeSessionRecord(lease.value)?.rooms.map(({ room }) => room);
  };
  expect(await rooms()).toContain("r");
  for (const [event, room] of [
    ["join", "s"],
    ["leave", "r"],
  ] as const) {
    const { promise, resolve } = Promise.withResolvers<void>();
    writing = promise;
    const answered = watched(here.socket.emitWithAck(event, room));
    await until(() => a.io.of("/").adapter.rooms.has(room) === (event === "join"));
    await afterRoundTrips(all);
    expect(answered.isDone).toBe(false);
    resolve();
    await answered.promise;
    expect((await rooms())?.includes(room)).toBe(event === "join");
  }
});
