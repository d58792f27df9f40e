import type { Server } from "socket.io";
import { Adapter, type BroadcastOptions, SessionAwareAdapter } from "socket.io-adapter";
import { type Fleet, type FleetOptions, startServer } from "../../faults/differential/fleet.ts";
import { MARKER } from "../../faults/differential/player.ts";

/** What an adapter does wrong, now and then. */
export type AdapterFault =
  | "none"
  | "drop"
  | "double"
  | "reorder"
  | "reorder-rooms"
  | "ignore-except"
  | "keep-left"
  | "lose-answer"
  | "other-node-only"
  | "forget-missed";

type Packet = { data: unknown[]; nsp?: string; id?: number; type: number };

/** How late what is late comes, in milliseconds. */
const LATE_MS = 20;

/** So often does it go wrong: of what is rare each time. */
const EVERY: Readonly<Partial<Record<AdapterFault, number>>> = { "keep-left": 1, "ignore-except": 2 };
const ELSE = 4;

/**
 * Several servers of one process whose adapters call each other: as right as can be, but for a fault. With recovery it
 * is one server alone, since these have no log.
 */
export async function startBus(options: FleetOptions, fault: AdapterFault): Promise<Fleet> {
  const count = options.recovery ? 1 : options.nodes;
  const nodes: { readonly io: Server; readonly url: string }[] = [];
  const adapter = options.recovery ? forgetful(fault) : busAdapter(fault);
  for (let node = 0; node < count; node++) nodes.push(await startServer(options, { adapter }));
  const at = (node: number) => {
    const found = nodes[node % count];
    if (!found) throw new RangeError(`no node ${node}`);
    return found;
  };
  return {
    server: (node) => at(node).io,
    url: (node) => at(node).url,
    single: count === 1,
    order: "all-copies",
    close: async () => {
      await Promise.all(nodes.map(({ io }) => io.close()));
    },
  };
}

function forgetful(fault: AdapterFault): typeof Adapter {
  return class extends SessionAwareAdapter {
    override async restoreSession(...args: Parameters<SessionAwareAdapter["restoreSession"]>) {
      const session = await super.restoreSession(...args);
      const missed = (session as { missedPackets?: unknown[][] } | null)?.missedPackets;
      const index = missed?.findIndex(([event]) => event !== MARKER) ?? -1;
      if (fault === "forget-missed" && index >= 0) missed?.splice(index, 1);
      return session as Awaited<ReturnType<SessionAwareAdapter["restoreSession"]>>;
    }
  } as unknown as typeof Adapter;
}

function busAdapter(fault: AdapterFault): typeof Adapter {
  const all: BusAdapter[] = [];
  let calls = 0;
  const failsNow = (name: AdapterFault) => fault === name && ++calls % (EVERY[name] ?? ELSE) === 0;

  class BusAdapter extends Adapter {
    constructor(...args: ConstructorParameters<typeof Adapter>) {
      super(...args);
      all.push(this);
    }

    override async serverCount(): Promise<number> {
      return this.#reached({}).length;
    }

    override broadcast(packet: Packet, opts: BroadcastOptions): void {
      // Without the markers a run would only wait.
      const isMarker = packet.data[0] === MARKER;
      if (!isMarker && failsNow("drop")) return;
      const adapters = this.#reached(opts).filter(
        (one) => one !== this || isMarker || !failsNow("other-node-only"),
      );
      const sent = failsNow("ignore-except") ? { ...opts, except: new Set<string>() } : opts;
      for (let times = failsNow("double") ? 2 : 1; times > 0; times--)
        for (const one of adapters) {
          const send = () => one.#broadcast({ ...packet, data: [...packet.data] }, sent);
          const isLate = fault === "reorder-rooms" ? one.#isLate(packet, opts) : failsNow("reorder");
          if (isLate) setTimeout(send, LATE_MS);
          else send();
        }
    }

    override broadcastWithAck(
      packet: Packet,
      opts: BroadcastOptions,
      count: (clients: number) => void,
      ack: (...args: unknown[]) => void,
    ): void {
      const counts: number[] = [];
      for (const one of this.#reached(opts))
        one.#ask(
          { ...packet, data: [...packet.data] },
          opts,
          (clients) => counts.push(clients),
          (...args: unknown[]) => {
            if (!failsNow("lose-answer")) ack(...args);
          },
        );
      // Socket.IO waits for as many counts as there are servers, also when one alone is asked.
      for (const { length } = this.#reached({}); counts.length < length; ) counts.push(0);
      for (const one of counts) count(one);
    }

    override addSockets(opts: BroadcastOptions, rooms: string[]): void {
      for (const one of this.#reached(opts)) one.#addSockets(opts, rooms);
    }

    override delSockets(opts: BroadcastOptions, rooms: string[]): void {
      for (const one of this.#reached(opts)) one.#delSockets(opts, rooms);
    }

    override del(id: string, room: string): void {
      if (!failsNow("keep-left")) super.del(id, room);
    }

    override disconnectSockets(opts: BroadcastOptions, close: boolean): void {
      for (const one of this.#reached(opts)) one.#disconnectSockets(opts, close);
    }

    override async sockets(rooms: Set<string>): Promise<Set<string>> {
      const found = await Promise.all(this.#reached({}).map((one) => one.#sockets(rooms)));
      return new Set(found.flatMap((ids) => [...ids]));
    }

    override async fetchSockets(opts: BroadcastOptions) {
      return (await Promise.all(this.#reached(opts).map((one) => one.#fetchSockets(opts)))).flat();
    }

    override serverSideEmit(packet: unknown[]): void {
      const others = this.#reached({}).filter((one) => one !== this);
      const ack =
        typeof packet.at(-1) === "function" ? (packet.pop() as (...args: unknown[]) => void) : undefined;
      const answers: unknown[] = [];
      const answer = (said: unknown) => {
        answers.push(said);
        if (answers.length === others.length) ack?.(null, answers);
      };
      for (const one of others) one.nsp._onServerSideEmit(ack ? [...packet, answer] : packet);
      if (others.length === 0) ack?.(null, answers);
    }

    #reached({ flags }: { readonly flags?: BroadcastOptions["flags"] }): BusAdapter[] {
      return all.filter((one) => one.nsp.name === this.nsp.name && (one === this || !flags?.local));
    }

    /** One server has some rooms later than others have them, each in its own order. */
    #isLate(packet: Packet, { rooms }: BroadcastOptions): boolean {
      const isOne = this === this.#reached({})[0] && packet.data[0] !== MARKER;
      return isOne && rooms.size === 1 && [...rooms].some((room) => room.length % 2 === 0);
    }

    #broadcast(packet: Packet, opts: BroadcastOptions): void {
      super.broadcast(packet, opts);
    }

    #ask(packet: Packet, opts: BroadcastOptions, count: (clients: number) => void, ack: () => void): void {
      super.broadcastWithAck(packet, opts, count, ack);
    }

    #addSockets(opts: BroadcastOptions, rooms: string[]): void {
      super.addSockets(opts, rooms);
    }

    #delSockets(opts: BroadcastOptions, rooms: string[]): void {
      super.delSockets(opts, rooms);
    }

    #disconnectSockets(opts: BroadcastOptions, close: boolean): void {
      super.disconnectSockets(opts, close);
    }

    #sockets(rooms: Set<string>): Promise<Set<string>> {
      return super.sockets(rooms);
    }

    #fetchSockets(opts: BroadcastOptions) {
      return super.fetchSockets(opts);
    }
  }
  return BusAdapter;
}
