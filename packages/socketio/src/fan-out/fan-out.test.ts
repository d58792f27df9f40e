import { Socket as NetSocket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Socket as ServerSocket } from "socket.io";
import { io as connect, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type FanOutServer, startServer } from "../../test/fan-out-server.ts";
import { cutOff } from "../backlog.ts";
import { connectionMisfit, connectionOf } from "../stock.ts";
import { frameOf } from "./frame.ts";
import { FrameChain } from "./frame-chain.ts";
import { OrderedWebSocket, webSocketMisfit } from "./ordered-web-socket.ts";

interface Client {
  readonly socket: Socket;
  readonly server: ServerSocket;
  readonly seen: unknown[][];
}

let closers: (() => unknown)[];
beforeEach(() => {
  closers = [];
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const closer of closers.reverse()) await closer();
});

async function serve(...options: Parameters<typeof startServer>): Promise<FanOutServer> {
  const server = await startServer(...options);
  closers.push(() => server.close());
  return server;
}

let names = 0;
async function join(
  server: FanOutServer,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<Client> {
  const name = `client ${names++}`;
  const socket = connect(server.url, {
    ...{ forceNew: true, transports: ["websocket"], reconnection: false, auth: { name } },
    ...options,
  });
  closers.push(() => socket.disconnect());
  const seen: unknown[][] = [];
  socket.onAny((...args) => seen.push(args));
  const own = await server.socket(name);
  own.join("room");
  await expect.poll(() => socket.connected).toBe(true);
  return { socket, server: own, seen };
}

const last = ({ seen }: Client) => seen.at(-1);
const count = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => ["n", from + n]);

it("writes once to each socket what one turn has for its rooms, texts and bytes", async () => {
  const server = await serve();
  const clients = [await join(server), await join(server), await join(server)];
  clients[0]?.server.join("other");
  await nextTurn();
  const write = vi.spyOn(NetSocket.prototype, "_write");
  server.io.to("room").emit("n", 0);
  server.io.to("other").emit("n", 1);
  server.io.to("room").emit("bytes", Buffer.from([1, 2]), "é", new Uint8Array([3]));
  for (let n = 2; n < 50; n++) server.io.to("room").emit("n", n);
  expect(write).not.toHaveBeenCalled();
  await nextTurn();
  expect(write).toHaveBeenCalledTimes(3);
  vi.restoreAllMocks();
  for (const client of clients) await expect.poll(() => last(client)).toEqual(["n", 49]);
  const bytes = ["bytes", Buffer.from([1, 2]), "é", Buffer.from([3])];
  expect(clients[0]?.seen).toEqual([["n", 0], ["n", 1], bytes, ...count(2, 50)]);
  expect(clients[1]?.seen).toEqual([["n", 0], bytes, ...count(2, 50)]);
  expect(server.fanOut.counters).toEqual({ joined: 3 * 50 + 1, ordinary: 0 });
});

it("gives a group what follows in common, until one of them is given something else", async () => {
  const server = await serve();
  const [one, two, polling] = [
    await join(server),
    await join(server),
    await join(server, { transports: ["polling"] }),
  ];
  await nextTurn();
  const all = [one.server, two.server, polling.server];
  const packet = (n: number) => [`2["n",${n}]`];
  let n = 0;
  const toAll = () => server.fanOut.write(all, packet(n++));
  for (let round = 0; round < 3; round++) {
    for (let times = 0; times < 3; times++) toAll();
    server.fanOut.write([two.server], packet(n++));
    toAll();
    toAll();
    one.server.emit("n", n++);
    toAll();
    server.fanOut.write(all, [`51-["n",{"_placeholder":true,"num":0}]`, Buffer.from([n])]);
    toAll();
    await nextTurn();
  }
  const numbers = Array.from({ length: n }, (_, index) => index);
  const ofTwo = [3, 3 + 9, 3 + 18];
  const ofOne = [6, 6 + 9, 6 + 18];
  const seen = ({ seen }: Client) =>
    seen.map(([, value]) => value).filter((value) => typeof value === "number");
  for (const [client, missing] of [
    [one, ofTwo],
    [two, ofOne],
    [polling, [...ofOne, ...ofTwo]],
  ] as const) {
    await expect.poll(() => seen(client)).toEqual(numbers.filter((number) => !missing.includes(number)));
    expect(client.seen.filter(([, value]) => typeof value !== "number")).toHaveLength(3);
  }
});

it("makes the frames that ws makes, at every length of their heads", () => {
  for (const length of [0, 1, 124, 125, 126, 65_534, 65_535, 65_536, 70_000]) {
    const frame = frameOf(["x".repeat(length), Buffer.alloc(length, 7)]) as Buffer;
    let at = 0;
    const read = () => {
      const short = (frame[at + 1] as number) & 127;
      const head = short < 126 ? 2 : short === 126 ? 4 : 10;
      const size = head === 2 ? short : head === 4 ? frame.readUInt16BE(at + 2) : frame.readUInt32BE(at + 6);
      const piece = { first: frame[at], payload: frame.subarray(at + head, at + head + size) };
      at += head + size;
      return piece;
    };
    expect(read()).toEqual({ first: 0x81, payload: Buffer.from(`4${"x".repeat(length)}`) });
    expect(read()).toEqual({ first: 0x82, payload: Buffer.alloc(length, 7) });
    expect(at).toBe(frame.length);
  }
  expect(frameOf(["x", new Blob(["y"])])).toBeUndefined();
});

it.each<[string, Parameters<typeof join>[1], Parameters<typeof serve>[0]]>([
  ["polls", { transports: ["polling"] }, {}],
  ["asks for compression", {}, { perMessageDeflate: { threshold: 0 } }],
  ["has its binary packets as text", { query: { b64: "1" } }, {}],
])("takes the ordinary path to a client that %s", async (_what, client, options) => {
  const server = await serve(options);
  const one = await join(server, client);
  for (let n = 0; n < 20; n++) server.io.to("room").emit("n", n);
  server.io.to("room").emit("bytes", Buffer.from([1, 2, 3]));
  await expect.poll(() => one.seen).toEqual([...count(0, 20), ["bytes", Buffer.from([1, 2, 3])]]);
  expect(server.fanOut.counters).toEqual({ joined: 0, ordinary: 21 });
});

it.each(["packetCreate", "flush", "drain"])(
  "takes the ordinary path where somebody listens to Engine.IO's %s",
  async (event) => {
    const server = await serve();
    const [watched, other] = [await join(server), await join(server)];
    let told = 0;
    watched.server.conn.on(event as "drain", () => told++);
    server.io.to("room").emit("n", 0);
    await expect.poll(() => last(watched)).toEqual(["n", 0]);
    await expect.poll(() => last(other)).toEqual(["n", 0]);
    expect(told).toBe(1);
    expect(server.fanOut.counters).toEqual({ joined: 1, ordinary: 1 });
    if (event === "packetCreate") return;
    server.io.engine.on(event, () => told++);
    server.io.to("room").emit("n", 1);
    expect(server.fanOut.counters).toEqual({ joined: 1, ordinary: 3 });
  },
);

it("tells whoever begins to listen in a large room of the very next packet", async () => {
  const server = await serve();
  const clients = await Promise.all(Array.from({ length: 8 }, () => join(server)));
  for (let n = 0; n < 3; n++) {
    server.io.to("room").emit("n", n);
    await nextTurn();
  }
  const { joined } = server.fanOut.counters;
  expect(joined).toBe(3 * clients.length);
  let told = 0;
  for (const { server: own } of clients.slice(0, 2)) own.conn.on("packetCreate", () => told++);
  server.io.to("room").emit("n", 3);
  expect(told).toBe(2);
  expect(server.fanOut.counters).toEqual({ joined: joined + clients.length - 2, ordinary: 2 });
  for (const client of clients) await expect.poll(() => client.seen).toEqual(count(0, 4));
});

it("lets neither a direct packet, an acknowledgement, a ping nor the end overtake", async () => {
  const server = await serve({ pingInterval: 40 });
  const one = await join(server);
  one.server.on("ask", (answer) => {
    server.io.to("room").emit("n", 0);
    answer();
    server.io.to("room").emit("n", 1);
    one.server.emit("n", 2);
    server.io.to("room").emit("n", 3);
  });
  one.socket.emit("ask", () => one.seen.push(["answer"]));
  await expect.poll(() => one.seen.length).toBe(5);
  expect(one.seen).toEqual([["n", 0], ["answer"], ["n", 1], ["n", 2], ["n", 3]]);
  let pings = 0;
  one.socket.io.on("ping", () => pings++);
  await expect.poll(() => pings, { timeout: 5_000 }).toBeGreaterThan(2);
  server.io.to("room").emit("n", 4);
  one.server.disconnect(true);
  await expect.poll(() => one.socket.connected).toBe(false);
  expect(last(one)).toEqual(["n", 4]);
});

it("tells onAnyOutgoing listeners of each packet", async () => {
  const server = await serve();
  const one = await join(server);
  const told: unknown[][] = [];
  one.server.onAnyOutgoing((...args) => told.push(args));
  server.io.to("room").emit("n", 0);
  expect(told).toEqual([["n", 0]]);
});

it("drops what is volatile for a client that takes no more, and nothing else", async () => {
  const server = await serve({}, { maxQueuedBytes: 1e9 });
  const one = await join(server);
  const { ws } = (one.socket.io.engine as unknown as { transport: { ws: { pause(): void; resume(): void } } })
    .transport;
  server.io.to("room").volatile.emit("n", 0);
  await expect.poll(() => last(one)).toEqual(["n", 0]);
  ws.pause();
  const big = "x".repeat(1_000_000);
  let sent = 0;
  while (connectionOf(one.server).transport.writable) {
    server.io.to("room").emit("big", big);
    sent++;
    await nextTurn();
  }
  server.io.to("room").volatile.emit("lost");
  one.server.volatile.emit("lost");
  server.io.to("room").emit("n", 1);
  expect(one.server.conn.transport.writable).toBe(false);
  ws.resume();
  await expect.poll(() => last(one), { timeout: 10_000 }).toEqual(["n", 1]);
  expect(one.seen.map(([event]) => event)).toEqual(["n", ...Array(sent).fill("big"), "n"]);
  await expect.poll(() => one.server.conn.transport.writable).toBe(true);
  server.io.to("room").volatile.emit("n", 2);
  await expect.poll(() => last(one)).toEqual(["n", 2]);
});

it("cuts off a client that does not read, at the bound, and the others go on", async () => {
  const bound = 300_000;
  const server = await serve({}, { maxQueuedBytes: bound });
  const [slow, other] = [await join(server), await join(server)];
  const { ws } = (slow.socket.io.engine as unknown as { transport: { ws: { pause(): void } } }).transport;
  ws.pause();
  const reasons: string[] = [];
  slow.server.on("disconnect", (reason) => reasons.push(reason));
  let sent = 0;
  while (server.slow.length === 0) {
    for (let n = 0; n < 10; n++) server.io.to("room").emit("n", sent++, "x".repeat(2_000));
    await expect.poll(() => last(other)?.[1], { interval: 1 }).toBe(sent - 1);
  }
  expect(server.slow).toEqual([{ id: slow.server.id, queuedBytes: expect.any(Number) }]);
  expect(server.slow[0]?.queuedBytes).toBeGreaterThan(bound);
  expect(server.slow[0]?.queuedBytes).toBeLessThan(bound + 50_000);
  expect(reasons).toEqual(["forced close"]);
  expect(other.seen).toHaveLength(sent);
});

it("costs others nothing that one of 200 does not read", async () => {
  const server = await serve({}, { maxQueuedBytes: 100_000_000 });
  const clients: Client[] = [];
  while (clients.length < 200)
    clients.push(...(await Promise.all(Array.from({ length: 50 }, () => join(server)))));
  const [slow, ...others] = clients as [Client, ...Client[]];
  const { ws } = (slow.socket.io.engine as unknown as { transport: { ws: { pause(): void } } }).transport;
  let sent = 0;
  const round = async () => {
    const started = performance.now();
    for (let n = 0; n < 5; n++) server.io.to("room").emit("n", sent++, "x".repeat(1_000));
    while (others.some((one) => last(one)?.[1] !== sent - 1)) await nextTurn();
    return performance.now() - started;
  };
  const median = async (rounds: number) => {
    const times: number[] = [];
    while (times.length < rounds) times.push(await round());
    return times.sort((a, b) => a - b)[rounds >> 1] as number;
  };
  await median(5);
  const before = await median(9);
  ws.pause();
  // More than the kernel takes.
  slow.server.emit("big", "x".repeat(16_000_000));
  await round();
  expect(connectionOf(slow.server).transport.writable).toBe(false);
  const stalled = await median(9);
  // A machine that does other work varies by more than this; waiting for the slow one would be without an end.
  expect(stalled).toBeLessThan(before * 4 + 50);
  expect(slow.server.connected).toBe(true);
  cutOff(slow.server);
});

it("waits for a client that is given one packet larger than the bound", async () => {
  const server = await serve({}, { maxQueuedBytes: 20_000 });
  const one = await join(server);
  const { ws } = (one.socket.io.engine as unknown as { transport: { ws: { pause(): void; resume(): void } } })
    .transport;
  ws.pause();
  server.io.to("room").emit("big", "x".repeat(20_000_000));
  // A sweep comes by.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  ws.resume();
  await expect.poll(() => one.seen.length, { timeout: 10_000 }).toBe(1);
  expect(server.slow).toEqual([]);
});

it.each(["websocket", "polling"])(
  "cuts off a %s client too that is only written to directly",
  async (transport) => {
    const server = await serve({}, { maxQueuedBytes: 300_000 });
    const one = await join(server, { transports: [transport] });
    one.socket.io.engine.transport.pause?.(() => {});
    const { ws } = one.socket.io.engine.transport as unknown as { ws?: { pause(): void } };
    ws?.pause();
    // What the kernel takes on the way to a client is not counted.
    for (let n = 0; n < 40; n++) one.server.emit("big", "x".repeat(300_000));
    await expect.poll(() => server.slow.length, { timeout: 5_000 }).toBe(1);
    expect(one.server.connected).toBe(false);
  },
);

it("says when what is installed is not as it was known, and goes the ordinary way", async () => {
  const chainOf = (text: string) => FrameChain.empty().with(frameOf([text]) as Buffer);
  expect(webSocketMisfit(chainOf)).toBeUndefined();
  const past = (bytes: string) =>
    function (this: OrderedWebSocket) {
      this.sender?.stream.write(bytes, "latin1");
    };
  const found = (change: object, field?: string) => {
    class Other extends OrderedWebSocket {
      protected override adopt(sender: object): void {
        super.adopt(field === undefined ? sender : Object.assign(sender, { [field]: 1 }));
      }
    }
    Object.defineProperties(Other.prototype, Object.getOwnPropertyDescriptors(change));
    return webSocketMisfit(chainOf, Other);
  };
  expect(webSocketMisfit(chainOf, WebSocket)).toBe("a WebSocket has no sender of its own");
  expect(found({ sender: undefined })).toBe("a WebSocket has no sender of its own");
  expect(found({ setSocket() {} })).toBe("a WebSocket has no sender of its own");
  for (const field of ["_bufferedBytes", "_state"]) expect(found({}, field)).toBe("a new sender is not idle");
  expect(found({ bufferedAmount: 0 })).toBe("bufferedAmount doesn't count what is held back");
  expect(found({ ping: past("\x89\x00") })).toBe("ping overtakes what is held back");
  expect(found({ pong: past("\x8a\x00") })).toBe("pong overtakes what is held back");
  expect(found({ close: past("\x88\x00") })).toBe("close overtakes what is held back");
  expect(found({ ping: null })).toContain("the sender fails");
  expect(webSocketMisfit(() => FrameChain.empty().with(Buffer.from("?")))).toBe("a text makes another frame");
  expect(connectionMisfit({ transport: {} } as never)).toContain("an Engine.IO connection is without");

  const other = await serve({}, { misfit: () => "another ws" });
  expect(other.misfits).toEqual(["another ws"]);
  expect(other.fanOut.wsEngine).toBe(WebSocketServer);
  const server = await serve(
    {},
    { misfit: (connection) => connection && connectionMisfit({ ...connection } as never) },
  );
  for (const one of [other, server]) {
    const client = await join(one);
    for (let n = 0; n < 5; n++) one.io.to("room").emit("n", n);
    await expect.poll(() => client.seen).toEqual(count(0, 5));
    expect(one.fanOut.counters).toEqual({ joined: 0, ordinary: 5 });
    expect(one.misfits).toHaveLength(1);
  }
});
