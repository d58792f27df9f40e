import { setTimeout as pause } from "node:timers/promises";
import type { BroadcastOperator, DefaultEventsMap, Namespace, RemoteSocket, Socket } from "socket.io";
import type { Fleet } from "./fleet.ts";
import { describeValue } from "./payloads.ts";
import { JOIN, MARKER, Player, type Script, SYNC } from "./player.ts";
import {
  messagesOf,
  type Parent,
  type Payload,
  type Phase,
  type Program,
  parentOf,
  type Step,
  type Target,
} from "./program.ts";
import type { Observation, PhaseTranscript, Transcript } from "./transcript.ts";

type Operator = BroadcastOperator<DefaultEventsMap, unknown>;

/** A room of all clients of a node, where one server plays them all. */
const nodeRoom = (node: number) => `@node:${node}`;

export interface RunOptions {
  /**
   * What the same program showed elsewhere: then the end of a phase is waited for until at least as much has been seen.
   */
  readonly expected?: Transcript;
  /** How long what is still missing at the end of a phase is waited for. Default 8,000 ms. */
  readonly patienceMs?: number | undefined;
}

/** Runs a program on servers and notes what everybody saw. */
export async function runProgram(
  program: Program,
  fleet: Fleet,
  { expected, patienceMs = 8000 }: RunOptions = {},
): Promise<Transcript> {
  const run = new ProgramRun(program, fleet, patienceMs);
  try {
    const phases: PhaseTranscript[] = [];
    for (const [index] of program.phases.entries())
      phases.push(await run.phase(index, expected?.phases[index]));
    return { phases };
  } finally {
    run.close();
  }
}

class ProgramRun {
  readonly #program: Program;
  readonly #fleet: Fleet;
  readonly #patienceMs: number;
  readonly #script: ReadonlyMap<string, Script>;
  readonly #players: ReadonlyMap<string, Player>;
  readonly #sockets = new Map<string, Socket>();
  readonly #names = new Map<string, string>();
  readonly #socketsSeen = new Map<string, Observation[]>();
  readonly #nodesSeen: Observation[][];
  readonly #parents: Readonly<Record<Parent, Namespace>>[] = [];
  /** Namespaces that came to be by a parent, on each server. */
  readonly #made: Set<string>[] = [];
  readonly #pending: Promise<unknown>[] = [];
  #answers = new Map<string, string>();

  constructor(program: Program, fleet: Fleet, patienceMs: number) {
    this.#program = program;
    this.#fleet = fleet;
    this.#patienceMs = patienceMs;
    this.#script = messagesOf(program) as ReadonlyMap<string, Script>;
    this.#players = new Map(program.clients.map((plan) => [plan.name, new Player(plan, this.#script)]));
    for (const { name } of program.clients) this.#socketsSeen.set(name, []);
    this.#nodesSeen = Array.from({ length: program.nodes }, () => []);
    for (let node = 0; node < (fleet.single ? 1 : program.nodes); node++) this.#listen(node);
  }

  async phase(index: number, expected: PhaseTranscript | undefined): Promise<PhaseTranscript> {
    const phase = this.#program.phases[index];
    if (!phase) throw new RangeError(`no phase ${index}`);
    const clients = marked(new Map([...this.#players].map(([name, { seen }]) => [name, seen])));
    const sockets = marked(this.#socketsSeen);
    const nodes = marked(new Map(this.#nodesSeen.entries()));
    this.#answers = new Map();

    await Promise.all(
      phase.lanes.map(async (lane) => {
        for (const step of lane) await this.#do(step);
      }),
    );
    await Promise.all(this.#pending.splice(0));
    if (expected) {
      await this.#wait(() => {
        const enough = (seen: readonly Observation[], wanted: readonly Observation[] = []) =>
          seen.length >= wanted.length;
        return (
          [...clients()].every(([name, seen]) =>
            enough(seen, required(this.#program, expected.clients.get(name))),
          ) &&
          [...sockets()].every(([name, seen]) => enough(seen, expected.sockets.get(name))) &&
          [...nodes()].every(([node, seen]) => enough(seen, expected.nodes[node]))
        );
      });
    }
    const connected = [...this.#players.values()].filter((player) => player.connected);
    await Promise.all(connected.map((player) => player.ask(SYNC, []).catch(() => undefined)));
    for (let node = 0; node < this.#program.nodes; node++)
      for (const namespace of new Set(connected.map(({ plan }) => plan.namespace)))
        if (this.#has(node, namespace)) this.#namespace(node, namespace).emit(MARKER, index, node);
    const nodesOf = (namespace: string) =>
      Array.from({ length: this.#program.nodes }, (_, node) => node).filter((node) =>
        this.#has(node, namespace),
      );
    const unmarked = () =>
      connected.filter(
        (player) => player.connected && !player.isMarked(index, nodesOf(player.plan.namespace)),
      );
    await this.#wait(() => unmarked().length === 0);
    if (expected)
      await this.#wait(() => describeValue([...this.#rooms()]) === describeValue([...expected.rooms]));
    await this.#untilJoined(phase);
    return {
      clients: clients(),
      sockets: sockets(),
      nodes: [...nodes().values()],
      answers: this.#answers,
      rooms: this.#rooms(),
      unmarked: unmarked().map(({ plan }) => plan.name),
    };
  }

  close(): void {
    for (const player of this.#players.values()) player.close();
  }

  /** Who was made to join by another server is there as soon as that one is told so, and nobody tells it unless it asks. */
  async #untilJoined({ lanes }: Phase): Promise<void> {
    for (const step of lanes.flat()) {
      if (step.type === "sockets-join")
        await this.#namespace(step.node, step.target.namespace).fetchSockets();
      else if (step.type === "remote-join") await this.#remote(step.node, step.client);
    }
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
      if (event === JOIN) this.#pending.push(Promise.resolve(socket.join(args[0] as string[])));
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
    if (plan && plan.greeted.length > 0) this.#pending.push(Promise.resolve(socket.join([...plan.greeted])));
  }

  async #do(step: Step): Promise<void> {
    switch (step.type) {
      case "connect":
      case "return":
        return this.#player(step.client).connect(step.node, this.#fleet.url(step.node));
      case "client-disconnect":
        return this.#untilGone(step.client, () => this.#player(step.client).disconnect());
      case "away":
        return this.#untilGone(step.client, () => this.#player(step.client).lose());
      case "kick":
        this.#sockets.get(step.client)?.disconnect(step.close);
        return;
      case "join":
        this.#pending.push(Promise.resolve(this.#sockets.get(step.client)?.join([...step.rooms])));
        return;
      case "ask-to-join":
        await this.#player(step.client).ask(JOIN, [step.rooms]);
        return;
      case "leave":
        this.#pending.push(Promise.resolve(this.#sockets.get(step.client)?.leave(step.room)));
        return;
      case "data": {
        const socket = this.#sockets.get(step.client);
        if (socket) socket.data.value = step.value;
        return;
      }
      case "emit": {
        const operator = this.#operator(step.node, step.target);
        (step.volatile ? operator.volatile : operator).compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "parent-emit": {
        const { node, parent, id, payload } = step;
        this.#parents[this.#fleet.single ? 0 : node]?.[parent].emit(id, ...payload);
        return;
      }
      case "socket-emit": {
        const operator = this.#broadcast(step.client, step.target);
        const flagged = step.volatile ? operator?.volatile : operator;
        flagged?.compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "direct": {
        const socket = this.#sockets.get(step.client);
        (step.volatile ? socket?.volatile : socket)?.compress(step.compress).emit(step.id, ...step.payload);
        return;
      }
      case "ask": {
        const operator = this.#operator(step.node, step.target).timeout(step.timeoutMs);
        return this.#ask(step.id, step.payload, operator, step.promised);
      }
      case "socket-ask": {
        const operator = this.#broadcast(step.client, step.target)?.timeout(step.timeoutMs);
        if (operator) await this.#ask(step.id, step.payload, operator, true);
        return;
      }
      case "ask-one": {
        const socket = this.#sockets.get(step.client);
        if (!socket) return;
        const answer = socket.timeout(step.timeoutMs).emitWithAck(step.id, ...step.payload);
        await this.#answered(step.id, answer);
        return;
      }
      case "remote-ask": {
        const remote = await this.#remote(step.node, step.client);
        if (!remote) return;
        const answer = remote.timeout(step.timeoutMs).emitWithAck(step.id, ...step.payload);
        await this.#answered(step.id, answer);
        return;
      }
      case "remote-disconnect":
        (await this.#remote(step.node, step.client))?.disconnect(step.close);
        return;
      case "ids": {
        const found = this.#operator(step.node, step.target).allSockets();
        await this.#answered(
          step.id,
          found.then((ids) => [...ids].map((id) => this.#names.get(id) ?? id).sort()),
        );
        return;
      }
      case "remote-emit":
        (await this.#remote(step.node, step.client))?.emit(step.id, ...step.payload);
        return;
      case "remote-join":
        (await this.#remote(step.node, step.client))?.join(step.room);
        return;
      case "remote-leave":
        (await this.#remote(step.node, step.client))?.leave(step.room);
        return;
      case "fetch": {
        const found = this.#operator(step.node, step.target).fetchSockets();
        await this.#answered(
          step.id,
          found.then((sockets) => sockets.map((one) => this.#look(one)).sort()),
        );
        return;
      }
      case "sockets-join":
        this.#operator(step.node, step.target).socketsJoin([...step.rooms]);
        return;
      case "sockets-leave":
        this.#operator(step.node, step.target).socketsLeave([...step.rooms]);
        return;
      case "disconnect-sockets":
        this.#operator(step.node, step.target).disconnectSockets(step.close);
        return;
      case "server-side": {
        const { node, namespace, others, id, payload } = step;
        if (this.#fleet.single) this.#playServerSide(others, id, payload);
        else this.#namespace(node, namespace).serverSideEmit(id, ...payload);
        return;
      }
      case "server-side-ask": {
        const { node, namespace, others, id, payload } = step;
        const answers = this.#fleet.single
          ? Promise.resolve(this.#playServerSide(others, id, payload))
          : this.#namespace(node, namespace).serverSideEmitWithAck(id, ...payload);
        await this.#answered(
          id,
          answers.then((each: unknown[]) => each.map(describeValue).sort()),
        );
        return;
      }
      case "say":
        if (step.ack) await this.#answered(step.id, this.#player(step.client).ask(step.id, step.payload));
        else this.#player(step.client).say(step.id, step.payload);
        return;
    }
  }

  /** What one server can't do, as it has no other: each other node hears of it and answers. */
  #playServerSide(others: readonly number[], id: string, payload: Payload): unknown[] {
    for (const node of others) this.#nodesSeen[node]?.push({ id, value: describeValue(payload) });
    return others.map((node) => [node, ...payload]);
  }

  async #ask(
    id: string,
    payload: Payload,
    operator: ReturnType<Operator["timeout"]>,
    promised: boolean,
  ): Promise<void> {
    const { promise: answer, resolve } = Promise.withResolvers<unknown>();
    const end = (error: Error | null, responses: unknown[]) => {
      const each = (responses ?? []).map(describeValue).sort();
      resolve({ error: error?.message ?? "none", each });
    };
    if (promised) {
      operator.emitWithAck(id, ...payload).then(
        (responses) => end(null, responses),
        (error: Error & { readonly responses: unknown[] }) => end(error, error.responses),
      );
    } else operator.emit(id, ...payload, end);
    await this.#answered(id, answer);
  }

  async #answered(id: string, answer: Promise<unknown>): Promise<void> {
    const value = await answer.then(describeValue, (error: Error) => `rejected: ${error.message}`);
    this.#answers.set(id, value);
  }

  /** Both ends know of it then. */
  async #untilGone(client: string, go: () => void): Promise<void> {
    const socket = this.#sockets.get(client);
    go();
    await this.#wait(() => !socket?.connected && !this.#player(client).connected);
  }

  async #remote(node: number, client: string): Promise<RemoteSocket<DefaultEventsMap, unknown> | undefined> {
    const { namespace } = this.#player(client).plan;
    const [found] = await this.#namespace(node, namespace)
      .in(this.#resolve([`@${client}`]))
      .fetchSockets();
    return found;
  }

  #look({ id, rooms, data, handshake }: RemoteSocket<DefaultEventsMap, unknown>): string {
    const name = this.#names.get(id) ?? id;
    const { auth } = handshake;
    return describeValue([name, this.#describeRooms(rooms), data, auth.name, Object.keys(handshake).sort()]);
  }

  #describeRooms(rooms: Iterable<string>): string[] {
    const named = [...rooms].map((room) => (this.#names.has(room) ? `@${this.#names.get(room)}` : room));
    return named.filter((room) => !isNodeRoom(room)).sort();
  }

  /** Of all clients that are connected, as the server that has them sees it. */
  #rooms(): Map<string, string> {
    const rooms = new Map<string, string>();
    for (const { name } of this.#program.clients) {
      const socket = this.#sockets.get(name);
      if (socket?.connected) rooms.set(name, describeValue(this.#describeRooms(socket.rooms)));
    }
    return rooms;
  }

  #operator(node: number, target: Target): Operator {
    const all = this.#namespace(node, target.namespace);
    return this.#aimed(all.except([]) as Operator, node, target);
  }

  /** All that a socket's own emits to others can be aimed at. */
  #broadcast(client: string, target: Target): Operator | undefined {
    const socket = this.#sockets.get(client);
    return socket && this.#aimed(socket.broadcast as Operator, socket.handshake.auth.node, target);
  }

  #aimed(all: Operator, node: number, { rooms, except, local }: Target): Operator {
    const others = Array.from({ length: this.#program.nodes }, (_, one) => one).filter((one) => one !== node);
    let operator = all.except(this.#resolve(except));
    if (rooms.length > 0) operator = operator.to(this.#resolve(rooms));
    if (!local) return operator;
    return this.#fleet.single ? operator.except(others.map(nodeRoom)) : operator.local;
  }

  /** Whether a node has a namespace, or has it as soon as it names it. */
  #has(node: number, namespace: string): boolean {
    if (parentOf(namespace) !== "function") return true;
    return this.#made[this.#fleet.single ? 0 : node]?.has(namespace) === true;
  }

  #namespace(node: number, name: string): Namespace {
    return this.#fleet.server(node).of(name);
  }

  #resolve(rooms: readonly string[]): string[] {
    return rooms.map((room) => {
      if (!room.startsWith("@")) return room;
      return this.#sockets.get(room.slice(1))?.id ?? room;
    });
  }

  /** Until the condition holds, or for as long as anything is waited for: the comparison then says what is missing. */
  async #wait(condition: () => boolean): Promise<void> {
    const deadline = performance.now() + this.#patienceMs;
    while (!condition() && performance.now() < deadline) await pause(2);
  }

  #player(name: string): Player {
    const player = this.#players.get(name);
    if (!player) throw new RangeError(`no client ${name}`);
    return player;
  }
}

function isNodeRoom(room: string): boolean {
  return room.startsWith("@node:");
}

/** What is added to each list from now on. */
function marked<Key>(lists: ReadonlyMap<Key, readonly Observation[]>): () => Map<Key, Observation[]> {
  const before = new Map([...lists].map(([key, list]) => [key, list.length]));
  return () => new Map([...lists].map(([key, list]) => [key, list.slice(before.get(key))]));
}

/** What must come: a volatile message need not. */
function required(program: Program, seen: readonly Observation[] = []): readonly Observation[] {
  const messages = messagesOf(program);
  return seen.filter(({ id }) => {
    const step = messages.get(id);
    return !(step && "volatile" in step && step.volatile);
  });
}
