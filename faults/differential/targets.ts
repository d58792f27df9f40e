import type { BroadcastOperator, DefaultEventsMap } from "socket.io";
import type { Fleet } from "./fleet.ts";
import { FETCH_MS } from "./patience.ts";
import type { Program, Target } from "./program.ts";
import { nodeRoom, type Remote, type Servers } from "./servers.ts";

/** What Socket.IO gives to emit to several sockets, and to ask and to move them. */
export type Operator = BroadcastOperator<DefaultEventsMap, unknown>;

/** What a program means by its targets, on the servers of a run. */
export class Targets {
  readonly #program: Program;
  readonly #fleet: Fleet;
  readonly #servers: Servers;

  constructor(program: Program, fleet: Fleet, servers: Servers) {
    this.#program = program;
    this.#fleet = fleet;
    this.#servers = servers;
  }

  operator(node: number, target: Target): Operator {
    const all = this.#servers.namespace(node, target.namespace);
    return this.#aimed(all.except([]) as Operator, node, target);
  }

  /** All that a socket's own emits to others can be aimed at. */
  broadcast(client: string, target: Target): Operator | undefined {
    const socket = this.#servers.socket(client);
    return socket && this.#aimed(socket.broadcast as Operator, socket.handshake.auth.node, target);
  }

  /** What a node finds of a client, wherever that is connected. */
  async remote(node: number, client: string): Promise<Remote | undefined> {
    const plan = this.#program.clients.find(({ name }) => name === client);
    if (!plan) throw new RangeError(`no client ${client}`);
    const [found] = await this.#servers
      .namespace(node, plan.namespace)
      .in(this.#resolve([`@${client}`]))
      .timeout(FETCH_MS)
      .fetchSockets();
    return found;
  }

  #aimed(all: Operator, node: number, { rooms, except, local }: Target): Operator {
    const others = Array.from({ length: this.#program.nodes }, (_, one) => one).filter((one) => one !== node);
    let operator = all.except(this.#resolve(except));
    if (rooms.length > 0) operator = operator.to(this.#resolve(rooms));
    if (!local) return operator;
    return this.#fleet.single ? operator.except(others.map(nodeRoom)) : operator.local;
  }

  #resolve(rooms: readonly string[]): string[] {
    return rooms.map((room) => {
      if (!room.startsWith("@")) return room;
      return this.#servers.socket(room.slice(1))?.id ?? room;
    });
  }
}
