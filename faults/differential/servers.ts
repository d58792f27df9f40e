import type { DefaultEventsMap, Namespace, RemoteSocket, Socket } from "socket.io";
import type { Fleet } from "./fleet.ts";
import { describeValue } from "./payloads.ts";
import { JOIN, type Script, SYNC } from "./player.ts";
import { type Parent, type Payload, type Program, parentOf, type StepOf } from "./program.ts";
import type { Observation } from "./transcript.ts";

/** A `serverSideEmit`. */
type ToOthers = StepOf<"server-side" | "server-side-ask">;

/** What `fetchSockets` gives of a client. */
export type Remote = RemoteSocket<DefaultEventsMap, unknown>;

/** A room of all clients of a node, where one server plays them all. */
export const nodeRoom = (node: number) => `@node:${node}`;

/** The servers of a run, their sockets by the names of the clients, and what both observed. */
export class Servers {
  readonly #program: Program;
  readonly #fleet: Fleet;
  readonly #script: ReadonlyMap<string, Script>;
  readonly #sockets = new Map<string, Socket>();
  readonly #names = new Map<string, string>();
  readonly #socketsSeen: ReadonlyMap<string, Observation[]>;
  readonly #nodesSeen: readonly Observation[][];
  readonly #parents: Readonly<Record<Parent, Namespace>>[] = [];
  /** Namespaces that came to be by a parent, on each server. */
  readonly #made: Set<string>[] = [];
  readonly #moves: Promise<unknown>[] = [];

  constructor(program: Program, fleet: Fleet, script: ReadonlyMap<string, Script>) {
    this.#program = program;
    this.#fleet = fleet;
    this.#script = script;
    this.#socketsSeen = new Map(program.clients.map(({ name }) => [name, []]));
    this.#nodesSeen = Array.from({ length: program.nodes }, () => []);
    for (let node = 0; node < (fleet.single ? 1 : program.nodes); node++) this.#listen(node);
  }

  /** What each client's sockets saw. */
  get socketsSeen(): ReadonlyMap<string, readonly Observation[]> {
    return this.#socketsSeen;
  }

  /** What other nodes' `serverSideEmit` brought to each node. */
  get nodesSeen(): readonly (readonly Observation[])[] {
    return this.#nodesSeen;
  }

  url(node: number): string {
    return this.#fleet.url(node);
  }

  /** Whether a node has a namespace, or has it as soon as it names it. */
  has(node: number, namespace: string): boolean {
    if (parentOf(namespace) !== "function") return true;
    return this.#made[this.#fleet.single ? 0 : node]?.has(namespace) === true;
  }

  namespace(node: number, name: string): Namespace {
    return this.#fleet.server(node).of(name);
  }

  parent(node: number, kind: Parent): Namespace | undefined {
    return this.#parents[this.#fleet.single ? 0 : node]?.[kind];
  }

  /** Of a client: the one that it was given last. */
  socket(client: string): Socket | undefined {
    return this.#sockets.get(client);
  }

  /** Of the client that a socket is; the id itself where it is nobody's. */
  nameOf(socketId: string): string {
    return this.#names.get(socketId) ?? socketId;
  }

  /** Not awaited: `settled` is for that. */
  join(socket: Socket | undefined, rooms: readonly string[]): void {
    this.#moves.push(Promise.resolve(socket?.join([...rooms])));
  }

  /** Not awaited: `settled` is for that. */
  leave(socket: Socket | undefined, room: string): void {
    this.#moves.push(Promise.resolve(socket?.leave(room)));
  }

  /** Resolves once all is done that sockets were to join and to leave by now. */
  async settled(): Promise<void> {
    await Promise.all(this.#moves.splice(0));
  }

  /** By `serverSideEmit`. */
  tellOthers({ node, namespace, others, id, payload }: ToOthers): void {
    if (this.#fleet.single) this.#playOthers(others, id, payload);
    else this.namespace(node, namespace).serverSideEmit(id, ...payload);
  }

  /** By `serverSideEmitWithAck`. */
  async askOthers({ node, namespace, others, id, payload }: ToOthers): Promise<unknown[]> {
    if (this.#fleet.single) return this.#playOthers(others, id, payload);
    return await this.namespace(node, namespace).serverSideEmitWithAck(id, ...payload);
  }

  /** What is to be seen of a client at another node, as text. */
  look({ id, rooms, data, handshake }: Remote): string {
    const { auth } = handshake;
    const fields = Object.keys(handshake).sort();
    return describeValue([this.nameOf(id), this.#describeRooms(rooms), data, auth.name, fields]);
  }

  /** Of all clients that are connected, as the server that has them sees it. */
  rooms(): Map<string, string> {
    const rooms = new Map<string, string>();
    for (const { name } of this.#program.clients) {
      const socket = this.#sockets.get(name);
      if (socket?.connected) rooms.set(name, describeValue(this.#describeRooms(socket.rooms)));
    }
    return rooms;
  }

  #listen(node: number): void {
    const server = this.#fleet.server(node);
    const greet = (namespace: Namespace) => namespace.on("connection", (socket) => this.#greet(socket));
    const parents = {
      pattern: server.of(/^\/pattern-\d+$/),
      function: server.of((name, _auth, next) => next(null, parentOf(name) === "function")),
    };
    const made = new Set<string>();
    this.#parents.push(parents);
    this.#made.push(made);
    for (const parent of Object.values(parents)) greet(parent);
    for (const { namespace } of this.#program.clients) {
      if (made.has(namespace) || parentOf(namespace)) continue;
      made.add(namespace);
      greet(server.of(namespace));
      this.#listenToOthers(node, server.of(namespace));
    }
    server.on("new_namespace", (namespace) => {
      if (made.has(namespace.name)) return;
      made.add(namespace.name);
      this.#listenToOthers(node, namespace);
    });
  }

  #listenToOthers(node: number, namespace: Namespace): void {
    for (const [id, { payload }] of this.#script) {
      namespace.on(id, (...args: unknown[]) => {
        const answer =
          typeof args.at(-1) === "function" ? (args.pop() as (said: unknown) => void) : undefined;
        this.#nodesSeen[node]?.push({ id, value: describeValue(args) });
        answer?.([node, ...payload]);
      });
    }
  }

  #greet(socket: Socket): void {
    const { name, node } = socket.handshake.auth as { readonly name: string; readonly node: number };
    this.#sockets.set(name, socket);
    this.#names.set(socket.id, name);
    const seen = this.#socketsSeen.get(name);
    if (!seen) throw new Error(`a client that is not of the program: ${name}`);
    const note = (id: string, value: string) => seen.push({ id, value });
    note("connection", socket.recovered ? "recovered" : "new");
    socket.onAny((event: string, ...args: unknown[]) => {
      const answer = typeof args.at(-1) === "function" ? (args.pop() as (said?: unknown) => void) : undefined;
      if (event === JOIN) this.join(socket, args[0] as string[]);
      else if (event !== SYNC) note(event, describeValue(args));
      answer?.(args);
    });
    socket.on("disconnect", (reason) => note("disconnect", reason));
    if (this.#fleet.single) {
      for (const room of socket.rooms) if (isNodeRoom(room)) socket.leave(room);
      socket.join(nodeRoom(node));
    }
    if (socket.recovered) return;
    const plan = this.#program.clients.find((one) => one.name === name);
    if (plan && plan.greeted.length > 0) this.join(socket, plan.greeted);
  }

  /** What one server can't do, as it has no other: each other node hears of it and answers. */
  #playOthers(others: readonly number[], id: string, payload: Payload): unknown[] {
    for (const node of others) this.#nodesSeen[node]?.push({ id, value: describeValue(payload) });
    return others.map((node) => [node, ...payload]);
  }

  #describeRooms(rooms: Iterable<string>): string[] {
    const named = [...rooms].map((room) => (this.#names.has(room) ? `@${this.#names.get(room)}` : room));
    return named.filter((room) => !isNodeRoom(room)).sort();
  }
}

function isNodeRoom(room: string): boolean {
  return room.startsWith("@node:");
}
