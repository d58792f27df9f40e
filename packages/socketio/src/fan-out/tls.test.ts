import { setImmediate as nextTurn } from "node:timers/promises";
import { type Random, seededRandom, testSeed } from "@holdfast/broker/testing";
import { generate } from "selfsigned";
import type { Socket as ServerSocket } from "socket.io";
import { io as connect, type Socket } from "socket.io-client";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { type FanOutServer, startServer } from "../../test/fan-out-server.ts";
import { connectionOf } from "../stock.ts";

const STEPS = 600;
const CLIENTS = 6;

interface Client {
  readonly socket: Socket;
  readonly server: ServerSocket;
  readonly seen: string[];
}

let tls: { readonly key: string; readonly cert: string };
beforeAll(async () => {
  const altNames = [{ type: 7 as const, ip: "127.0.0.1" }];
  const extensions = [{ name: "subjectAltName" as const, altNames }];
  const made = await generate([{ name: "commonName", value: "127.0.0.1" }], { keyType: "ec", extensions });
  tls = { key: made.private, cert: made.cert };
});

let closers: (() => unknown)[];
beforeEach(() => {
  closers = [];
});
afterEach(async () => {
  for (const closer of closers.reverse()) await closer();
});

async function serve(maxQueuedBytes: number): Promise<FanOutServer> {
  const server = await startServer({}, { tls, maxQueuedBytes });
  closers.push(() => server.close());
  return server;
}

async function join(server: FanOutServer, name: string): Promise<Client> {
  const transports = ["websocket"];
  const socket = connect(server.url, {
    ...{ forceNew: true, transports, reconnection: false, auth: { name }, ca: tls.cert },
  });
  closers.push(() => socket.disconnect());
  const seen: string[] = [];
  socket.onAny((...args: unknown[]) => {
    const answer = args.at(-1);
    if (typeof answer === "function") answer(name);
    seen.push(JSON.stringify(args));
  });
  const own = await server.socket(name);
  own.join("room");
  await expect.poll(() => socket.connected).toBe(true);
  return { socket, server: own, seen };
}

/** Does one thing, and notes what each client has to be given for it. */
function step(random: Random, number: number, server: FanOutServer, clients: readonly Client[]): string[][] {
  const one = random.pick(clients);
  const length = random.below(40) === 0 ? 70_000 : random.below(300);
  const text = `${number}:${"é".repeat(length)}`;
  const data = random.below(4) === 0 ? { text, bytes: Buffer.alloc(length, number) } : text;
  const given = (event: string, to: (client: Client) => boolean, ...more: unknown[]) =>
    clients.map((client) => (to(client) ? [JSON.stringify([event, data, ...more])] : []));
  switch (random.below(6)) {
    case 0:
      one.server.emit("direct", data);
      return given("direct", (client) => client === one);
    case 1:
      one.server.emit("direct ack", data, () => {});
      return given("direct ack", (client) => client === one, null);
    case 2:
      one.server.to("room").emit("others", data);
      return given("others", (client) => client !== one);
    default:
      server.io.to("room").emit("room", data);
      return given("room", () => true);
  }
}

it("gives clients over TLS room emits, direct ones, acknowledged ones and bytes in their order", async () => {
  const random = seededRandom(testSeed());
  const server = await serve(100_000_000);
  const clients: Client[] = [];
  for (let n = 0; n < CLIENTS; n++) clients.push(await join(server, `client ${n}`));
  const expected: string[][] = clients.map(() => []);
  for (let number = 0; number < STEPS; number++) {
    for (const [index, given] of step(random, number, server, clients).entries())
      expected[index]?.push(...given);
    if (random.below(5) === 0) await nextTurn();
  }
  const answers = await server.io.timeout(20_000).to("room").emitWithAck("last");
  expect(answers.sort()).toEqual(clients.map((_, n) => `client ${n}`));
  for (const [index, { seen }] of clients.entries()) {
    expect(seen.slice(0, -1), `client ${index}`).toEqual(expected[index]);
  }
  expect(server.fanOut.counters.joined).toBeGreaterThan(STEPS / 4);
});

it("writes to clients over TLS in common, turn after turn", async () => {
  const server = await serve(1_048_576);
  const clients: Client[] = [];
  for (let n = 0; n < CLIENTS; n++) clients.push(await join(server, `client ${n}`));
  await expect.poll(() => clients.every(({ server: { conn } }) => conn.transport.writable)).toBe(true);
  for (let turn = 0; turn < 50; turn++) {
    server.io.to("room").emit("n", turn);
    server.io.to("room").emit("n", turn);
    await nextTurn();
  }
  for (const { seen } of clients) {
    await expect.poll(() => seen.length).toBe(100);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => `["n",${n >> 1}]`));
  }
  expect(server.fanOut.counters).toEqual({ joined: 100 * CLIENTS, ordinary: 0 });
});

it("cuts off a client over TLS that does not read, at the bound", async () => {
  const bound = 300_000;
  const server = await serve(bound);
  const [slow, other] = [await join(server, "slow"), await join(server, "other")];
  (slow.socket.io.engine as unknown as { transport: { ws: { pause(): void } } }).transport.ws.pause();
  let sent = 0;
  while (server.slow.length === 0) {
    for (let n = 0; n < 10; n++) server.io.to("room").emit("n", sent++, "x".repeat(2_000));
    await expect.poll(() => other.seen.length, { interval: 1 }).toBe(sent);
  }
  expect(server.slow).toEqual([{ id: slow.server.id, queuedBytes: expect.any(Number) }]);
  expect(server.slow[0]?.queuedBytes).toBeGreaterThan(bound);
  expect(server.slow[0]?.queuedBytes).toBeLessThan(bound + 50_000);
  expect(connectionOf(slow.server).readyState).toBe("closed");
});
