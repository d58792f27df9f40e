import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { available, bytes, record, WAIT } from "../test/feed.ts";
import { encodeClient } from "./client-messages.ts";
import { type ConnectBrokerOptions, connectBroker } from "./connect.ts";
import { openEmbeddedBroker } from "./embedded.ts";
import { encodeFrame, FrameReader } from "./frame.ts";
import { PROTOCOL } from "./message-fields.ts";
import { OutgoingQueue } from "./outgoing-queue.ts";
import type { Broker, ChannelEvent, Position } from "./port.ts";
import { type ConnectionEnd, type ServeBrokerOptions, type ServedBroker, serveBroker } from "./serve.ts";
import { decodeServer, encodeServer, type ServerMessage } from "./server-messages.ts";
import { seededRandom, testSeed } from "./testing.ts";

/** An address that no outgoing connection has, so that a port of it is still free when a server is back. */
const QUIET = "127.0.0.9";

const TOKEN = "a-token-for-these-tests";
const HELLO = encodeClient({ type: "hello", protocol: PROTOCOL, token: TOKEN });

let broker: Broker;
let ends: ConnectionEnd[];
let cleanups: (() => Promise<unknown>)[];

beforeEach(() => {
  broker = openEmbeddedBroker();
  ends = [];
  cleanups = [() => broker.close()];
});

afterEach(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup();
});

async function serve(options: ServeBrokerOptions = {}, behind = broker): Promise<ServedBroker> {
  const served = await serveBroker(behind, { token: TOKEN, onEnd: (end) => ends.push(end), ...options });
  cleanups.push(() => served.close());
  return served;
}

function connectTo(url: string, options: ConnectBrokerOptions = {}): Broker {
  const client = connectBroker(url, { minBackOffMs: 1, maxBackOffMs: 20, ...options });
  cleanups.push(() => client.close());
  return client;
}

/** A broker that does what another does, of which a test can change something. */
function forward(to: Broker): Broker {
  return {
    abilities: to.abilities,
    leases: to.leases,
    publish: (...args) => to.publish(...args),
    publishAll: (...args) => to.publishAll(...args),
    notify: (...args) => to.notify(...args),
    subscribe: (...args) => to.subscribe(...args),
    history: (...args) => to.history(...args),
    watch: (listener) => to.watch(listener),
    close: () => to.close(),
  };
}

/** A connection that speaks bytes, and keeps what it is answered until it is closed. */
class RawClient {
  readonly socket: Socket;
  readonly answers: ServerMessage[] = [];
  readonly closed: Promise<unknown>;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    const reader = new FrameReader(16 * 1024 * 1024);
    this.socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let body = reader.next(); body; body = reader.next()) this.answers.push(decodeServer(body));
    });
    this.socket.on("error", () => undefined);
    this.closed = once(this.socket, "close");
    cleanups.push(async () => this.socket.destroy());
  }

  get bye(): string | undefined {
    const last = this.answers.at(-1);
    return last?.type === "bye" ? last.code : undefined;
  }
}

describe("a connection without the token", () => {
  test("is told so, and every call fails with the reason", async () => {
    const { url } = await serve();
    const client = connectTo(url.replace(TOKEN, "another-token-entirely"));
    const refused = { code: "TOKEN_REFUSED", retryable: false };
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject(refused);
    const statuses: unknown[] = [];
    client.watch((status) => statuses.push(status));
    expect(statuses).toMatchObject([{ type: "unavailable", error: refused }]);
  });

  test("is ended when it shows none in time", async () => {
    const { port } = await serve({ authenticationMs: 30 });
    const client = new RawClient(port);
    await client.closed;
    expect(client.bye).toBe("TOKEN_REFUSED");
  });

  test("is ended when its first frame is larger than a hello can be, before that frame is there", async () => {
    const { port } = await serve();
    const client = new RawClient(port);
    client.socket.write(Buffer.from([0, 0, 4, 1]));
    await client.closed;
    expect(client.bye).toBe("FRAME_INVALID");
  });

  test("is ended when it asks for anything first", async () => {
    const { port } = await serve();
    const client = new RawClient(port);
    client.socket.write(
      encodeClient({ type: "history", id: 1, channel: "c", backwards: false, from: undefined, limit: 1 }),
    );
    await client.closed;
    expect(client.answers).toMatchObject([{ type: "bye", code: "FRAME_INVALID" }]);
  });

  test("cannot keep those that have it out", async () => {
    const { port, url } = await serve({ maxStrangers: 3 });
    const strangers = Array.from({ length: 10 }, () => new RawClient(port));
    await Promise.all(strangers.map(({ socket }) => once(socket, "connect")));
    await available(connectTo(url));
    const dropped = () => strangers.filter(({ bye }) => bye === "TOKEN_REFUSED").length;
    await vi.waitFor(() => expect(dropped()).toBeGreaterThanOrEqual(7), WAIT);
  });
});

describe("hostile bytes", () => {
  const field = (...fields: (string | number | null | boolean | Uint8Array)[]) => encodeFrame(fields);
  const body = (...octets: number[]) => Buffer.from([0, 0, 0, octets.length, ...octets]);

  test.each([
    ["a frame over the bound", Buffer.from([0xff, 0xff, 0xff, 0xff])],
    ["an empty frame", body()],
    ["an unknown message", field(99)],
    ["a message of the wrong type", field("publish")],
    ["a negative number", field(2, -1, "c", bytes("x"), null, null, null)],
    ["a number that is none", field(2, Number.NaN, "c", bytes("x"), null, null, null)],
    ["text for bytes", field(2, 1, "c", "x", null, null, null)],
    ["a field too few", field(2, 1, "c")],
    ["a field too many", field(6, 1)],
    ["a second hello", HELLO],
    ["more channels than are there", field(4, 1000, "c")],
    ["more channels than a frame may name", field(4, 1001, ...Array(1001).fill("c"))],
    ["a name over every bound", field(4, 1, "c".repeat(2000))],
    ["an array", body(0x91, 0x01)],
    ["an array that claims to be huge", body(0x03, 0xdd, 0xff, 0xff, 0xff, 0xff)],
    ["a map with a key that poisons", body(0x81, 0xa9, ...Buffer.from("__proto__"), 0x01)],
    ["an extension", body(0xc7, 0x01, 0x05, 0x00)],
    ["text that claims to be longer than its frame", body(0x03, 0x01, 0xdb, 0x7f, 0xff, 0xff, 0xff)],
    ["a byte that MessagePack never uses", body(0xc1)],
  ])("like %s end their own connection with a code, and no other", async (_title, hostile) => {
    const { port, url } = await serve();
    const [other, client] = [connectTo(url), new RawClient(port)];
    await available(other);
    client.socket.write(Buffer.concat([HELLO, hostile]));
    await client.closed;
    expect(client.bye).toBe("FRAME_INVALID");
    expect(ends.map(({ code }) => code)).toEqual(["FRAME_INVALID"]);
    await other.publish("c", bytes("still here"));
  });

  test("of any kind leave the server standing", async () => {
    const { port, url } = await serve();
    const random = seededRandom(testSeed());
    const other = connectTo(url);
    await available(other);
    const valid = [
      encodeClient({ type: "subscribe", channels: ["c", "d"] }),
      encodeClient({
        type: "publish",
        id: 7,
        channel: "c",
        data: bytes("x"),
        key: "k",
        retention: undefined,
      }),
      encodeClient({
        type: "history",
        id: 8,
        channel: "c",
        backwards: false,
        from: { epoch: "e", offset: 1, tag: "t" },
        limit: 5,
      }),
    ];
    for (let round = 0; round < 150; round++) {
      const client = new RawClient(port);
      const frames = Array.from({ length: 5 }, () => {
        const frame = Buffer.from(random.pick(valid));
        for (let flips = random.below(4); flips > 0; flips--)
          frame[random.below(frame.length)] = random.below(256);
        return frame.subarray(0, frame.length - random.below(3));
      });
      client.socket.end(Buffer.concat([random.below(5) === 0 ? Buffer.alloc(0) : HELLO, ...frames]));
      await client.closed;
    }
    await other.publish("still", bytes("here"));
  });

  test("are taken in pieces of one byte", async () => {
    const { port } = await serve();
    const client = new RawClient(port);
    await once(client.socket, "connect");
    client.socket.setNoDelay(true);
    const publish = encodeClient({
      type: "publish",
      id: 5,
      channel: "c",
      data: bytes("x"),
      key: undefined,
      retention: undefined,
    });
    for (const octet of Buffer.concat([HELLO, publish])) {
      client.socket.write(Buffer.from([octet]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitFor(() => expect(client.answers.at(-1)).toMatchObject({ type: "published", id: 5 }), WAIT);
  });
});

describe("the server", () => {
  test("ends a connection of another protocol version with a code", async () => {
    const { port } = await serve();
    const client = new RawClient(port);
    client.socket.write(encodeClient({ type: "hello", protocol: PROTOCOL + 1, token: TOKEN }));
    await client.closed;
    expect(client.bye).toBe("PROTOCOL_UNSUPPORTED");
  });

  test("takes no more connections than it may", async () => {
    const { url, port } = await serve({ maxConnections: 1 });
    const client = connectTo(url);
    await available(client);
    const second = new RawClient(port);
    await second.closed;
    expect(second.bye).toBe("BROKER_UNAVAILABLE");
    await client.publish("c", bytes("x"));
  });

  test("ends a connection from which nothing comes any more", async () => {
    const { port } = await serve({ idleMs: 50 });
    const client = new RawClient(port);
    client.socket.write(HELLO);
    await client.closed;
    expect(client.bye).toBe("SLOW_CONSUMER");
  });

  test("bounds the channels of one connection", async () => {
    const { url } = await serve({ maxChannels: 2 });
    const client = connectTo(url);
    for (const channel of ["a", "b"]) await client.subscribe(channel, () => undefined);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject({ code: "CHANNEL_LIMIT" });
  });

  test("leaves requests unread while a client does not take its answers, and serves them when it does", async () => {
    const { port } = await serve({ maxQueuedBytes: 8 * 1024 * 1024 });
    for (let n = 0; n < 20; n++) await broker.publish("c", new Uint8Array(200_000));
    const client = new RawClient(port);
    client.socket.pause();
    client.socket.write(HELLO);
    const reads = Array.from({ length: 200 }, (_, id) =>
      encodeClient({ type: "history", id, channel: "c", backwards: false, from: undefined, limit: 10 }),
    );
    await new Promise((resolve) => client.socket.write(Buffer.concat(reads), resolve));
    client.socket.resume();
    await vi.waitFor(() => expect(client.answers.filter(({ type }) => type === "page")).toHaveLength(200), {
      ...WAIT,
      interval: 50,
    });
    expect(ends).toEqual([]);
  });

  test("listens on a Unix domain socket, also where a killed server left one", async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-socket-"));
    cleanups.push(() => rm(folder, { recursive: true }));
    const path = join(folder, "broker.sock");
    const code = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", code]), "exit");
    const { url } = await serve({ path });
    expect(url).toBe(`holdfast://${TOKEN}@unix:${path}`);
    expect(await connectTo(url).publish("c", bytes("x"))).toMatchObject({ position: { offset: 1 } });
    await expect(serve({ path })).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE" });
    await expect(serve({ path: "relative.sock" })).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
  });

  test("refuses an address that it can't listen on", async () => {
    const { port } = await serve();
    const refused = { code: "ADDRESS_UNAVAILABLE", message: expect.stringContaining(`127.0.0.1:${port}`) };
    await expect(serveBroker(broker, { port })).rejects.toMatchObject(refused);
  });

  test.each([{ token: "short" }, { port: 65_536 }, { maxConnections: 0 }, { idle: 5 }])(
    "refuses the options %j",
    async (options) => {
      await expect(serveBroker(broker, options)).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
    },
  );

  test("makes a token of its own that is never the same", async () => {
    const [one, other] = [await serveBroker(broker), await serveBroker(broker)];
    cleanups.push(one.close, other.close);
    expect(one.url).toMatch(/^holdfast:\/\/[A-Za-z0-9_-]{32}@127\.0\.0\.1:\d+$/);
    expect(one.url.split("@")[0]).not.toBe(other.url.split("@")[0]);
  });
});

describe("the connected broker", () => {
  test("shares one subscription of the served broker among its listeners, and ends it with the last", async () => {
    let open = 0;
    const counted: Broker = {
      ...forward(broker),
      subscribe: async (...args) => {
        const subscription = await broker.subscribe(...args);
        open++;
        return {
          close: () => {
            open--;
            return subscription.close();
          },
        };
      },
    };
    const { url } = await serve({}, counted);
    const client = connectTo(url);
    const [one, two] = [record(), record()];
    const first = await client.subscribe("c", one.listener);
    await client.publish("c", bytes("1"));
    const second = await client.subscribe("c", two.listener);
    await client.publish("c", bytes("2"));
    expect([one.texts(), two.texts()]).toEqual([["1", "2"], ["2"]]);
    expect(two.events[0]).toMatchObject({ type: "subscribed", position: { offset: 1 } });
    expect(open).toBe(1);
    await first.close();
    await client.publish("c", bytes("3"));
    expect([one.texts(), two.texts()]).toEqual([
      ["1", "2"],
      ["2", "3"],
    ]);
    await second.close();
    await vi.waitFor(() => expect(open).toBe(0), WAIT);
  });

  test("subscribes ten thousand channels with a few frames each way, also from where they are", async () => {
    const { url } = await serve();
    const names = Array.from({ length: 10_000 }, (_, n) => `many.${n}`);
    const heads: Position[] = [];
    for (let from = 0; from < names.length; from += 1000) {
      const part = names.slice(from, from + 1000).map((channel) => ({ channel, data: bytes("x") }));
      for (const outcome of await broker.publishAll(part))
        if (outcome.type === "published") heads.push(outcome.position);
    }
    for (const since of [false, true]) {
      const client = connectTo(url);
      await available(client);
      const [next, encode] = [
        vi.spyOn(FrameReader.prototype, "next"),
        vi.spyOn(OutgoingQueue.prototype, "add"),
      ];
      await Promise.all(
        names.map((name, n) =>
          client.subscribe(name, () => undefined, since ? { since: heads[n] as Position } : {}),
        ),
      );
      // Both ends of the connection are in this process: what either of them read is counted.
      const frames = next.mock.results.filter(({ value }) => value !== undefined).length;
      expect(encode.mock.calls.length).toBeLessThanOrEqual(15);
      expect(frames).toBeLessThanOrEqual(30);
      vi.restoreAllMocks();
    }
  });

  test("passes on a reset of the served broker", async () => {
    const heads: Position[] = [
      { epoch: "e", offset: 3, tag: "a" },
      { epoch: "f", offset: 1, tag: "b" },
    ];
    const [before, after] = heads as [Position, Position];
    const told: { listener?: (event: ChannelEvent) => void } = {};
    const fake: Broker = {
      ...forward(broker),
      publish: () => Promise.reject(new Error("This broker publishes nothing.")),
      history: async () => ({ type: "page", entries: [], head: before, seq: 3 }),
      watch: (listener) => {
        listener({ type: "available" });
        return () => undefined;
      },
      close: async () => undefined,
      subscribe: async (_channel, listener) => {
        told.listener = listener;
        listener({ type: "subscribed", position: before });
        return { close: async () => undefined };
      },
    };
    const { url } = await serve({}, fake);
    const [client, seen] = [connectTo(url), record()];
    await client.subscribe("c", seen.listener);
    told.listener?.({ type: "reset", head: after, reason: "epoch" });
    await vi.waitFor(
      () => expect(seen.events.at(-1)).toEqual({ type: "reset", head: after, reason: "epoch" }),
      WAIT,
    );
    const failing = client.publish("c", bytes("x"));
    await expect(failing).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE", retryable: true });
  });

  test("tells that it is unavailable when the broker behind the server is, or the server is gone", async () => {
    const served = await serve({ host: QUIET });
    const client = connectTo(served.url);
    await available(client);
    const statuses: string[] = [];
    client.watch(({ type }) => statuses.push(type));
    await served.close();
    await vi.waitFor(() => expect(statuses.at(-1)).toBe("unavailable"), WAIT);
    await serve({ host: QUIET, port: served.port });
    await vi.waitFor(() => expect(statuses.at(-1)).toBe("available"), WAIT);
  });

  test("waits for a server that is not there yet", async () => {
    const { url, close } = await serve({ host: QUIET });
    await close();
    const client = connectTo(url);
    const publishing = client.publish("c", bytes("early"));
    await serve({ host: QUIET, port: Number(new URL(url).port) });
    expect(await publishing).toMatchObject({ position: { offset: 1 }, duplicate: false });
  });

  test("gives up a call when its time is over", async () => {
    const { url, close } = await serve();
    await close();
    const client = connectTo(url, { requestMs: 60 });
    const unavailable = { code: "BROKER_UNAVAILABLE", retryable: true };
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject(unavailable);
    await expect(client.history("c", {})).rejects.toMatchObject(unavailable);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject(unavailable);
  });

  test("refuses a call at once when too many, or too many bytes, wait", async () => {
    const { url, close } = await serve();
    await close();
    const few = connectTo(url, { maxPending: 3 });
    const small = connectTo(url, { maxPendingBytes: 1000 });
    const waiting = [
      ...Array.from({ length: 3 }, () => few.publish("c", bytes("x"))),
      small.publish("c", new Uint8Array(1000)),
    ].map((publishing) => expect(publishing).rejects.toMatchObject({ code: "BROKER_CLOSED" }));
    const refused = { code: "BROKER_UNAVAILABLE" };
    await expect(few.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await expect(small.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await Promise.all([few.close(), small.close()]);
    await Promise.all(waiting);
  });

  test("refuses an entry that no frame of the server's holds, also when it was asked before it was connected", async () => {
    const { url } = await serve({ maxFrameBytes: 128 * 1024 });
    const client = connectTo(url);
    const refused = { code: "ENTRY_TOO_LARGE" };
    await expect(client.publish("c", new Uint8Array(200_000))).rejects.toMatchObject(refused);
    await available(client);
    await expect(client.publish("c", new Uint8Array(200_000))).rejects.toMatchObject(refused);
    expect(ends).toEqual([]);
  });

  test("gives up a server that speaks nonsense, and lets the process live", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.resume();
      socket.write(Buffer.concat([encodeServer({ type: "pong" }), Buffer.from([0, 0, 0, 2, 0xc1, 0xc1])]));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = address && typeof address === "object" ? address.port : 0;
    const client = connectTo(`holdfast://${TOKEN}@127.0.0.1:${port}`, { requestMs: 200 });
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject({ code: "BROKER_UNAVAILABLE" });
    await client.close();
    await new Promise((resolve) => server.close(resolve));
  });
});
