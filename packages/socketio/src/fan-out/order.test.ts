import { setImmediate as nextTurn } from "node:timers/promises";
import { type Random, seededRandom, testSeed } from "@holdfast/broker/testing";
import type { Socket as ServerSocket } from "socket.io";
import { io as connect, type Socket } from "socket.io-client";
import { afterEach, expect, it } from "vitest";
import { type FanOutServer, startServer } from "../../test/fan-out-server.ts";

const STEPS = 2_000;
const ROOMS = ["a", "b", "c"];
const OTHER = "/other";

/** How a client comes, and what becomes of its connection. */
const TRANSPORTS = [["websocket"], ["websocket"], ["polling"], ["polling", "websocket"]];

/** One server with its clients: what each of them was given, in the order in which it came. */
interface World {
  readonly server: FanOutServer;
  readonly clients: Map<string, Socket[]>;
  readonly sockets: Map<string, ServerSocket[]>;
  readonly seen: Map<string, string[]>;
}

let worlds: World[] = [];
afterEach(async () => {
  for (const { clients, server } of worlds) {
    for (const sockets of clients.values()) for (const socket of sockets) socket.disconnect();
    await server.close();
  }
  worlds = [];
});

async function startWorld(stock: boolean): Promise<World> {
  const server = await startServer({}, { stock, maxQueuedBytes: 100_000_000 });
  const world: World = { server, clients: new Map(), sockets: new Map(), seen: new Map() };
  for (const [index, namespace] of ["/", OTHER].entries()) {
    server.io.of(namespace).on("connection", (socket) => {
      const sockets = world.sockets.get(socket.handshake.auth.name);
      if (sockets) sockets[index] = socket;
    });
  }
  worlds.push(world);
  return world;
}

/** A client of both namespaces over one connection. */
async function join({ server, clients, sockets, seen }: World, name: string, transports: string[]) {
  const connected: ServerSocket[] = [];
  sockets.set(name, connected);
  const main = connect(server.url, { forceNew: true, transports, reconnection: false, auth: { name } });
  const other = main.io.socket(OTHER, { auth: { name } });
  const packets: string[] = [];
  clients.set(name, [main, other]);
  seen.set(name, packets);
  for (const [end, label] of [
    [main, "main"],
    [other, "other"],
  ] as const) {
    end.onAny((...args: unknown[]) => {
      const last = args.at(-1);
      if (typeof last === "function") last(name);
      packets.push(`${label} ${JSON.stringify(args)}`);
    });
  }
  await expect.poll(() => main.connected && other.connected, { interval: 1, timeout: 10_000 }).toBe(true);
  for (const room of ROOMS.slice(0, 2)) for (const socket of connected) socket.join(room);
}

/** A step is made from its number and random numbers alone, so that it is the same one in both worlds. */
function step(random: Random, number: number, names: readonly string[]): (world: World) => void {
  const name = random.pick(names);
  const room = random.pick(ROOMS);
  const [namespace, index] = random.below(4) === 0 ? [OTHER, 1] : ["/", 0];
  const length = random.below(40) === 0 ? 70_000 : random.below(300);
  const text = `${number}:${"é".repeat(length)}`;
  const data = random.below(6) === 0 ? { text, bytes: Buffer.alloc(length, number) } : text;
  const socketOf = (world: World) => world.sockets.get(name)?.[index];
  switch (random.below(10)) {
    case 0:
      return (world) => socketOf(world)?.emit("direct", data);
    case 1:
      return (world) => socketOf(world)?.emit("direct ack", data, () => {});
    case 2:
      return (world) =>
        world.server.io
          .of(namespace)
          .timeout(20_000)
          .to(room)
          .emit("ack", data, () => {});
    case 3:
      return (world) => socketOf(world)?.join(room);
    case 4:
      return (world) => socketOf(world)?.leave(room);
    case 5:
      return (world) => socketOf(world)?.to(room).emit("others", data);
    default:
      return (world) => {
        for (let part = 0; part <= number % 3; part++) {
          world.server.io.of(namespace).local.to(room).emit("room", part, data);
        }
      };
  }
}

it.each([1, 2])(
  "gives every client the same packets in the same order as Socket.IO's own adapter (%i)",
  async (part) => {
    const random = seededRandom(testSeed() + part);
    const [ours, stock] = [await startWorld(false), await startWorld(true)];
    const names: string[] = [];
    const everywhere = (act: (world: World) => void) => {
      for (const world of worlds) act(world);
    };
    for (let number = 0; number < STEPS; number++) {
      if (number % (STEPS / 10) === 0) {
        const name = `client from step ${number}`;
        const transports = random.pick(TRANSPORTS);
        // An upgrade goes on while the next steps are done.
        await Promise.all(worlds.map((world) => join(world, name, transports)));
        names.push(name);
      }
      everywhere(step(random, number, names));
      if (random.below(300) === 0 && names.length > 3) {
        const gone = names.splice(random.below(names.length), 1)[0] ?? "";
        everywhere(({ sockets }) => sockets.get(gone)?.[0]?.emit("last"));
        everywhere(({ sockets }) => sockets.get(gone)?.[0]?.disconnect(true));
      }
      if (random.below(5) === 0) await nextTurn();
      else if (random.below(4) === 0) await Promise.resolve();
    }
    everywhere(({ sockets }) => {
      for (const name of names) for (const socket of sockets.get(name) ?? []) socket.emit("end");
    });
    for (const { seen } of [ours, stock]) {
      for (const name of names) {
        await expect.poll(() => seen.get(name)?.at(-1), { timeout: 10_000 }).toBe('other ["end"]');
      }
    }
    expect(ours.server.fanOut.counters.joined).toBeGreaterThan(STEPS / 20);
    expect(ours.server.fanOut.counters.ordinary).toBeGreaterThan(STEPS / 20);
    for (const [name, packets] of stock.seen) {
      const isGone = !names.includes(name);
      // Who was disconnected may have missed the end of it; what it has is a beginning of the same.
      const own = ours.seen.get(name) ?? [];
      const length = isGone ? Math.min(own.length, packets.length) : packets.length;
      expect(own.slice(0, length), name).toEqual(packets.slice(0, length));
      if (!isGone) expect(own).toHaveLength(length);
    }
  },
);
