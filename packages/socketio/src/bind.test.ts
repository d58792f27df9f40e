import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Broker, connectBroker, formatCursor, openEmbeddedBroker } from "@holdfast/broker";
import { Hub } from "@holdfast/hub";
import { Server, type ServerOptions } from "socket.io";
import { io as connect, Manager, type Socket } from "socket.io-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { bindChannels, type ChannelBinding } from "./bind.ts";
import type { BindingEvent } from "./events.ts";
import { createHoldfast } from "./holdfast.ts";
import type { BindingOptions } from "./options.ts";
import type { SubscribeAnswer, UnsubscribeAnswer } from "./wire.ts";

interface Node {
  readonly http: HttpServer;
  readonly io: Server;
  readonly hub: Hub;
  readonly binding: ChannelBinding;
  readonly url: string;
  readonly events: BindingEvent[];
}

let broker: Broker;
let closers: (() => unknown)[];
beforeEach(() => {
  broker = openEmbeddedBroker();
  closers = [() => broker.close()];
});
afterEach(async () => {
  for (const closer of closers.reverse()) await closer();
});

async function start(options: BindingOptions = {}, server: Partial<ServerOptions> = {}): Promise<Node> {
  const http = createServer();
  const io = new Server(http, server);
  const hub = new Hub(broker, { node: "node-é", pageSize: 10 });
  const events: BindingEvent[] = [];
  const binding = bindChannels(io, hub, { ...options, onEvent: (event) => events.push(event) });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  closers.push(
    () => hub.close(),
    () => binding.close(),
    () => io.close(),
  );
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return { http, io, hub, binding, url, events };
}

/** A stock client, and every packet that it was sent. */
async function client(node: Node, transport = "websocket") {
  const socket = connect(node.url, { forceNew: true, transports: [transport], reconnection: false });
  closers.push(() => socket.disconnect());
  const packets: unknown[][] = [];
  socket.onAny((...packet) => packets.push(packet));
  await new Promise((resolve) => socket.once("connect", () => resolve(undefined)));
  return { socket, packets, entries: () => packets.filter(([event]) => event === "holdfast:entry") };
}

const ask = (
  socket: Socket,
  event: string,
  ...args: unknown[]
): Promise<SubscribeAnswer & UnsubscribeAnswer> => socket.timeout(5_000).emitWithAck(event, ...args);
const subscribe = (socket: Socket, request: unknown) => ask(socket, "holdfast:subscribe", request);
const publish = (n: number, channel = "c") => broker.publish(channel, new TextEncoder().encode(`["n",${n}]`));

it("welcomes with its name and the protocol's version, before anything else", async () => {
  const node = await start();
  const { packets } = await client(node);
  await expect.poll(() => packets).toEqual([["holdfast:welcome", { node: "node-é", protocol: 1 }]]);
  const answer = await fetch(`${node.url}/socket.io/?EIO=4&transport=polling`);
  expect(answer.headers.get("x-holdfast-node")).toBe("node--");
});

it.each(["polling", "websocket"])(
  "sends what was missed and then what is new, in order, over %s",
  async (transport) => {
    const node = await start();
    const first = await publish(1);
    for (let n = 2; n <= 45; n++) await publish(n);
    const { socket, entries } = await client(node, transport);
    const { epoch, offset, tag } = first.position;
    const publishing = (async () => {
      for (let n = 46; n <= 120; n++) await publish(n);
    })();
    const answer = await subscribe(socket, { channel: "c", cursor: formatCursor(first.position) });
    expect(answer).toMatchObject({ ok: true, recovered: true, epoch, offset, tag });
    expect(answer.ok && answer.head).toBeGreaterThanOrEqual(45);
    await publishing;
    await expect.poll(() => entries().length).toBe(119);
    expect(entries().map((packet) => [packet[1], packet[2], packet[4], packet[5]])).toEqual(
      Array.from({ length: 119 }, (_, n) => ["c", n + 2, "n", n + 2]),
    );
  },
);

it("sends what is volatile to whoever has caught up, and keeps none of it", async () => {
  const node = await start();
  const { socket, packets } = await client(node);
  const notify = (text: string) => broker.notify("c", new TextEncoder().encode(text));
  await notify('["typing",1]');
  await subscribe(socket, { channel: "c" });
  await notify("no message");
  await notify('["typing",2]');
  await publish(1);
  await expect.poll(() => packets.length).toBe(3);
  expect(packets.map((packet) => packet.slice(0, 3))).toEqual([
    ["holdfast:welcome", { node: "node-é", protocol: 1 }],
    ["holdfast:volatile", "c", "typing"],
    ["holdfast:entry", "c", 1],
  ]);
  expect(packets[1]?.[3]).toBe(2);
  expect(node.binding.counters.unreadable).toBe(1);
});

describe("answers with a code", () => {
  it.each<[string, unknown, string]>([
    ["nothing", undefined, "REQUEST_INVALID"],
    ["null", null, "REQUEST_INVALID"],
    ["a text", "c", "REQUEST_INVALID"],
    ["an array", ["c"], "REQUEST_INVALID"],
    ["no channel", {}, "REQUEST_INVALID"],
    ["a channel that is no text", { channel: { toString: 1 } }, "REQUEST_INVALID"],
    ["a cursor that is no text", { channel: "c", cursor: { epoch: 1 } }, "REQUEST_INVALID"],
    ["an empty name", { channel: "" }, "CHANNEL_INVALID"],
    ["a long name", { channel: "x".repeat(201) }, "CHANNEL_INVALID"],
    ["a name with a space", { channel: "a b" }, "CHANNEL_INVALID"],
    ["our own channels", { channel: "holdfast:node:x" }, "CHANNEL_RESERVED"],
  ])("to %s", async (_title, request, code) => {
    const node = await start();
    const { socket } = await client(node);
    for (const event of ["holdfast:subscribe", "holdfast:unsubscribe"]) {
      expect(await ask(socket, event, request)).toMatchObject({ ok: false, error: { code } });
    }
    expect(node.binding.counters).toMatchObject({ subscriptions: 0, refused: 1 });
  });

  it("to one subscription more than a connection may have", async () => {
    const node = await start({ maxSubscriptions: 3 });
    const { socket } = await client(node);
    for (const channel of ["a", "b", "c", "c"]) expect((await subscribe(socket, { channel })).ok).toBe(true);
    expect(await subscribe(socket, { channel: "d" })).toMatchObject({
      error: { code: "SUBSCRIPTIONS_TOO_MANY", retryable: false },
    });
    expect((await ask(socket, "holdfast:unsubscribe", { channel: "a" })).ok).toBe(true);
    expect((await subscribe(socket, { channel: "d" })).ok).toBe(true);
  });

  it("to more requests at a time than that, whatever became of them", async () => {
    const node = await start({ maxSubscriptions: 4 });
    const { socket } = await client(node);
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => subscribe(socket, { channel: "c", cursor: `1.other.${n}.x` })),
    );
    const codes = answers.map((answer) => (answer.ok ? "ok" : answer.error.code));
    expect(codes.filter((code) => code === "ok")).toHaveLength(1);
    expect(new Set(codes)).toEqual(new Set(["ok", "SUBSCRIPTION_REPLACED", "SUBSCRIBES_TOO_MANY"]));
  });
});

it("takes text that is no cursor as one that can't be continued from", async () => {
  const node = await start();
  await publish(1);
  const { socket } = await client(node);
  for (const cursor of ["", "2.a.b", "x".repeat(100_000)]) {
    expect(await subscribe(socket, { channel: "c", cursor })).toMatchObject({
      ok: true,
      recovered: false,
      offset: 1,
    });
  }
});

it("does nothing for a request that can't be answered", async () => {
  const node = await start();
  const { socket, entries } = await client(node);
  socket.emit("holdfast:subscribe", { channel: "c" });
  socket.emit("holdfast:unsubscribe");
  socket.emit("holdfast:subscribe");
  expect((await subscribe(socket, { channel: "d" })).ok).toBe(true);
  await publish(1);
  await publish(1, "d");
  await expect.poll(() => entries().length).toBe(1);
  expect(node.binding.counters.subscriptions).toBe(1);
});

it("replaces a subscription without doubling or losing an entry", async () => {
  const node = await start();
  const first = await publish(1);
  for (let n = 2; n <= 30; n++) await publish(n);
  const cursor = formatCursor(first.position);
  const { socket, packets } = await client(node);
  const answers: string[] = [];
  const request = (n: number) =>
    socket.emit("holdfast:subscribe", { channel: "c", cursor }, (answer: SubscribeAnswer) => {
      answers.push(answer.ok ? "ok" : answer.error.code);
      if (answer.ok) packets.push([`answer ${n}`]);
    });
  for (let n = 0; n < 5; n++) request(n);
  await expect.poll(() => answers.length).toBe(5);
  await publish(31);
  await expect.poll(() => packets.at(-1)?.[2]).toBe(31);
  const answered = packets.findLastIndex(([event]) => String(event).startsWith("answer"));
  const after = packets.slice(answered + 1).map((packet) => packet[2]);
  expect(after).toEqual(Array.from({ length: 30 }, (_, n) => n + 2));
  expect(answers.filter((answer) => answer !== "ok" && answer !== "SUBSCRIPTION_REPLACED")).toEqual([]);
  expect(node.io.sockets.adapter.rooms.get("holdfast:channel:c")?.size).toBe(1);
});

it("sends nothing after an unsubscribe was answered, also in the middle of a resume", async () => {
  const node = await start();
  const first = await publish(1);
  for (let n = 2; n <= 100; n++) await publish(n);
  const { socket, entries } = await client(node);
  const resumed = subscribe(socket, { channel: "c", cursor: formatCursor(first.position) });
  expect((await ask(socket, "holdfast:unsubscribe", { channel: "c" })).ok).toBe(true);
  const count = entries().length;
  await resumed;
  await publish(101);
  await ask(socket, "holdfast:unsubscribe", { channel: "c" });
  expect(entries().length).toBe(count);
  expect(node.binding.counters.subscriptions).toBe(0);
});

it("forgets a socket that disconnects, also in the middle of a resume", async () => {
  const node = await start();
  const first = await publish(1);
  for (let n = 2; n <= 500; n++) await publish(n);
  for (let n = 0; n < 10; n++) {
    const { socket } = await client(node);
    socket.emit("holdfast:subscribe", { channel: "c", cursor: formatCursor(first.position) }, () => {});
    if (n % 2 === 0) await subscribe(socket, { channel: "d" });
    socket.disconnect();
  }
  await expect.poll(() => node.binding.counters).toMatchObject({ connections: 0, subscriptions: 0 });
  await expect.poll(() => node.hub.counters.members).toBe(0);
});

it("gives a resuming client that reads slowly time, instead of queueing all that it missed", {
  timeout: 30_000,
}, async () => {
  const node = await start({ maxQueuedBytes: 65_536 });
  const big = (n: number) =>
    broker.publish("c", new TextEncoder().encode(JSON.stringify([`n${n}`, "x".repeat(100_000)])));
  const first = await big(1);
  const total = 200;
  for (let n = 2; n <= total; n++) await big(n);
  const { socket, entries } = await client(node);
  const { ws } = (socket.io.engine as unknown as { transport: { ws: { pause(): void; resume(): void } } })
    .transport;
  expect((await subscribe(socket, { channel: "c", cursor: formatCursor(first.position) })).ok).toBe(true);
  ws.pause();
  const caughtUp = () => node.binding.counters.caughtUp;
  let before = -1;
  await expect
    .poll(
      () => {
        const isStill = before === caughtUp();
        before = caughtUp();
        return isStill;
      },
      { interval: 300, timeout: 10_000 },
    )
    .toBe(true);
  expect(before).toBeLessThan(total - 1);
  ws.resume();
  await expect.poll(() => entries().length, { timeout: 20_000 }).toBe(total - 1);
  expect(entries().map((packet) => packet[2])).toEqual(Array.from({ length: total - 1 }, (_, n) => n + 2));
  expect(node.binding.counters.cutOff).toBe(0);
});

it("tells the client when a subscription fails in the middle, and the client can subscribe again", async () => {
  const node = await start();
  const first = await publish(1);
  for (let n = 2; n <= 40; n++) await publish(n);
  const { socket, packets, entries } = await client(node);
  const history = broker.history.bind(broker);
  let reads = 0;
  broker.history = async (channel, query) => {
    if (++reads === 2)
      throw Object.assign(new Error("away"), { code: "BROKER_UNAVAILABLE", retryable: true });
    return history(channel, query);
  };
  expect((await subscribe(socket, { channel: "c", cursor: formatCursor(first.position) })).ok).toBe(true);
  await expect
    .poll(() => packets.at(-1))
    .toEqual(["holdfast:ended", "c", { code: "BROKER_UNAVAILABLE", message: "away", retryable: true }]);
  expect(node.events).toMatchObject([{ type: "ended", channel: "c" }]);
  const [, , offset, tag] = entries().at(-1) ?? [];
  const cursor = `1.${first.position.epoch}.${offset}.${tag}`;
  expect(await subscribe(socket, { channel: "c", cursor })).toMatchObject({ ok: true, recovered: true });
  await expect
    .poll(() => entries().map((packet) => packet[2]))
    .toEqual(Array.from({ length: 39 }, (_, n) => n + 2));
});

it("says nothing about the server in an error that is not for clients", async () => {
  const node = await start();
  const { socket } = await client(node);
  broker.subscribe = () => Promise.reject(new Error("secret path"));
  const answer = await subscribe(socket, { channel: "new" });
  expect(answer).toMatchObject({ ok: false, error: { code: "INTERNAL", retryable: true } });
  expect(JSON.stringify(answer)).not.toContain("secret");
});

it("lives beside Socket.IO's own recovery, which does not put a socket back into a channel", async () => {
  const node = await start({}, { connectionStateRecovery: {} });
  const socket = connect(node.url, { forceNew: true, transports: ["websocket"], reconnectionDelay: 10 });
  closers.push(() => socket.disconnect());
  await new Promise((resolve) => socket.once("connect", () => resolve(undefined)));
  await subscribe(socket, { channel: "c" });
  await publish(1);
  const offsets: unknown[] = [];
  socket.on("holdfast:entry", (_channel, offset) => offsets.push(offset));
  await publish(2);
  await expect.poll(() => offsets).toContain(2);
  socket.io.engine.close();
  await new Promise((resolve) => socket.once("connect", () => resolve(undefined)));
  expect(socket.recovered).toBe(true);
  expect(node.binding.counters.subscriptions).toBe(0);
  expect(node.io.sockets.adapter.rooms.has("holdfast:channel:c")).toBe(false);
});

it("serves a namespace as well, and lets go of it when closed", async () => {
  const node = await start();
  const binding = bindChannels(node.io.of("/chat"), node.hub);
  const socket = connect(`${node.url}/chat`, { forceNew: true });
  closers.push(() => socket.disconnect());
  await new Promise((resolve) => socket.once("connect", () => resolve(undefined)));
  expect((await subscribe(socket, { channel: "c" })).ok).toBe(true);
  const entry = new Promise((resolve) => socket.once("holdfast:entry", (...args) => resolve(args)));
  await publish(1);
  expect(await entry).toEqual(["c", 1, expect.any(String), "n", 1]);
  binding.close();
  binding.close();
  expect(binding.counters).toMatchObject({ subscriptions: 0 });
  await expect(socket.timeout(200).emitWithAck("holdfast:subscribe", { channel: "c" })).rejects.toThrow();
});

it("tells clients that they may go on elsewhere when it closes, whether answered yet or not", async () => {
  const node = await start();
  const { socket, packets } = await client(node);
  expect((await subscribe(socket, { channel: "c" })).ok).toBe(true);
  // A broker that is not there: what is asked of it waits.
  const away = connectBroker("holdfast://0123456789abcdef@127.0.0.1:1");
  const hub = new Hub(away, { node: "waiting" });
  const waiting = bindChannels(node.io.of("/waiting"), hub);
  closers.push(
    () => away.close(),
    () => hub.close(),
  );
  const other = connect(`${node.url}/waiting`, { forceNew: true });
  closers.push(() => other.disconnect());
  await new Promise((resolve) => other.once("connect", () => resolve(undefined)));
  const answer = subscribe(other, { channel: "c" });
  await expect.poll(() => waiting.counters.subscriptions).toBe(1);

  waiting.close();
  node.binding.close();
  const closing = { code: "SERVER_CLOSING", message: expect.any(String), retryable: true };
  expect(await answer).toEqual({ ok: false, error: closing });
  await expect.poll(() => packets.at(-1)).toEqual(["holdfast:ended", "c", closing]);
  expect(socket.connected).toBe(true);
});

it("refuses a server that listens nowhere, and options that it doesn't know", () => {
  const hub = new Hub(broker, { node: "n" });
  closers.push(() => hub.close());
  expect(() => bindChannels(new Server(), hub)).toThrow(expect.objectContaining({ code: "ENGINE_MISSING" }));
  const io = new Server(createServer());
  expect(() => bindChannels(io, hub, { maxQueuedBytes: 5 })).toThrow("maxQueuedBytes must be");
  expect(() => bindChannels(io, hub, { rooms: 5 } as BindingOptions)).toThrow("rooms");
});

it("leaves the place of a stock client that can be recovered to what came from a room", async () => {
  const holdfast = createHoldfast({ broker, node: "node" });
  closers.push(() => holdfast.close());
  const http = createServer();
  const io = new Server(http, { ...holdfast.options, connectionStateRecovery: {} });
  closers.push(() => io.close());
  const binding = bindChannels(io, holdfast.hub, { fanOut: holdfast.fanOut });
  closers.push(() => binding.close());
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  await holdfast.ready;
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  io.on("connection", (socket) => {
    if (!socket.recovered) void socket.join("lobby");
  });
  const manager = new Manager(url, { transports: ["websocket"], reconnectionDelay: 1 });
  const socket = manager.socket("/");
  closers.push(
    () => manager.engine?.close(),
    () => manager.reconnection(false),
  );
  const packets: unknown[][] = [];
  socket.onAny((...packet) => packets.push(packet));
  const seen = (event: string) => packets.filter(([name]) => name === event).map((packet) => packet.slice(1));
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  const text = (data: string) => new TextEncoder().encode(JSON.stringify(["said", data]));
  const first = await broker.publish("c", text("missed"));
  await subscribe(socket, { channel: "c", cursor: formatCursor({ ...first.position, offset: 0, tag: "" }) });
  await broker.publish("c", text("live"));
  await broker.notify("c", text("typing"));
  await expect.poll(() => seen("holdfast:entry").length + seen("holdfast:volatile").length).toBe(3);
  expect(seen("holdfast:entry").map((args) => args.slice(3))).toEqual([
    ["said", "missed", null],
    ["said", "live", null],
  ]);
  expect(seen("holdfast:volatile")).toEqual([["c", "said", "typing", null]]);

  const back = new Promise<void>((resolve) => socket.once("connect", resolve));
  manager.engine.close();
  await broker.publish("lobby", text("while away"));
  await back;
  expect(socket.recovered).toBe(true);
  await expect.poll(() => seen("said").map(([data]) => data)).toEqual(["while away"]);
});
