import { type Random, seededRandom } from "@holdfast/broker/testing";
import { makeData, makePayload } from "./payloads.ts";
import {
  type ClientPlan,
  type Lane,
  type Phase,
  type Program,
  parentOf,
  type Step,
  type StepOf,
  type Target,
} from "./program.ts";

const NAMESPACES = ["/", "/", "/", "/chat", "/pattern-1", "/pattern-2", "/made-1"];
const ROOMS = [
  "lobby",
  "room:1",
  "",
  "räum/ü ☕",
  "holdfast:room:sneaky",
  "abcdefghij-_12345678",
  "long".repeat(200),
];
const TRANSPORTS = [
  ["websocket"],
  ["websocket"],
  ["websocket"],
  ["polling"],
  ["polling", "websocket"],
] as const;
const RELIABLE = { volatile: false, compress: true } as const;
const PLENTY_MS = 5000;
/** A client that doesn't answer costs the run this long. All others have it to answer in. */
const SILENCE_MS = 1000;

const NODES = 3;
const CLIENTS = 8;
const PHASES = 12;

/**
 * The program of a seed: the same one each time.
 *
 * @param recovery whether it may be one for servers with `connectionStateRecovery`
 */
export function makeProgram(seed: number, recovery = true): Program {
  return new Generator(seed, recovery).make();
}

/** What the generator knows of a client at the end of the phase that it has just made. */
interface Client {
  readonly plan: ClientPlan;
  state: "out" | "in" | "away";
  node: number;
  /**
   * It has come back once. Stock Socket.IO keeps what it came back with, also when the server or the client has ended the
   * session since, and would bring that back once more.
   */
  restored: boolean;
}

/** A node has a namespace, from the phase after this one on: in this one it may only just come to be. */
interface Place {
  readonly namespace: string;
  readonly node: number;
  readonly phase: number;
}

class Generator {
  readonly #seed: number;
  readonly #random: Random;
  readonly #recovery: boolean;
  readonly #deflate: boolean;
  readonly #places: Place[] = [];
  readonly #clients: Client[];
  readonly #rooms: readonly string[];
  readonly #phases: Phase[] = [];
  #lastId = 0;
  #silence: boolean;

  constructor(seed: number, recovery: boolean) {
    this.#seed = seed;
    const random = seededRandom(seed);
    this.#random = random;
    this.#recovery = random.next() < 0.5 && recovery;
    this.#deflate = random.next() < 0.2;
    this.#silence = random.next() < 0.15;
    this.#rooms = this.#some(ROOMS, 5);
    this.#clients = Array.from({ length: CLIENTS }, (_, n) => ({
      plan: {
        name: `c${n + 1}`,
        namespace: n < 3 ? "/" : random.pick(NAMESPACES),
        transports: random.pick(TRANSPORTS),
        greeted: random.next() < 0.4 ? [random.pick(this.#rooms)] : [],
      },
      state: "out" as const,
      node: n % NODES,
      restored: false,
    }));
    this.#phases.push({ lanes: this.#clients.map((client) => [this.#connect(client, client.node)]) });
    this.#phases.push(this.#membership(0.9));
    const kinds = [
      () => this.#traffic(),
      () => this.#traffic(),
      () => this.#traffic(),
      () => this.#burst(),
      () => this.#burst(),
      () => this.#membership(0.5),
      () => this.#ownOrder(),
      () => this.#ownOrder(),
      // Who comes back is what recovery is about.
      ...Array.from({ length: this.#recovery ? 4 : 2 }, () => () => this.#connections()),
    ];
    while (this.#phases.length < PHASES - 1) {
      const phase = random.pick(kinds)();
      if (phase.lanes.length > 0) this.#phases.push(phase);
    }
    this.#phases.push(this.#traffic());
  }

  make(): Program {
    return {
      seed: this.#seed,
      recovery: this.#recovery,
      deflate: this.#deflate,
      nodes: NODES,
      clients: this.#clients.map(({ plan }) => plan),
      phases: this.#phases,
    };
  }

  /** Everything that changes nobody's place: emits of all kinds, questions, and looks. */
  #traffic(): Phase {
    const lanes: Lane[] = [];
    for (let count = 1 + this.#random.below(5); count > 0; count--) {
      const [client] = this.#some(this.#present(), 1);
      const namespace = client?.plan.namespace ?? "/";
      const node = this.#nodeOf(namespace);
      const target = this.#target(namespace);
      const lane: Step[] = [];
      for (let steps = 1 + this.#random.below(6); steps > 0; steps--) {
        // Often the same target again, so that there is an order to keep.
        const to = this.#random.next() < 0.5 ? target : this.#target(namespace);
        lane.push(this.#trafficStep(node, to));
      }
      lanes.push(lane);
    }
    return { lanes };
  }

  #trafficStep(node: number, target: Target): Step {
    const random = this.#random;
    const { namespace } = target;
    const inNamespace = this.#present(namespace);
    const client = inNamespace.length === 0 ? undefined : random.pick(inNamespace).plan.name;
    const choice = random.below(client === undefined ? 9 : 23);
    if (choice < 5) return { type: "emit", node, target, ...this.#flags(), ...this.#message() };
    if (choice < 6) return this.#serverSide("server-side", node, namespace);
    if (choice < 7) return this.#serverSide("server-side-ask", node, namespace);
    if (choice < 8) return { type: "fetch", node, target, id: this.#id() };
    if (choice < 9 || client === undefined) return { type: "ids", node, target, id: this.#id() };
    if (choice < 13) return { type: "socket-emit", client, target, ...this.#flags(), ...this.#message() };
    if (choice < 15) return { type: "direct", client, ...this.#flags(), ...this.#message() };
    if (choice < 17) return { type: "say", client, ack: random.next() < 0.5, ...this.#message() };
    if (choice < 18)
      return this.#parentEmit(node, namespace) ?? { type: "ids", node, target, id: this.#id() };
    if (choice < 19) return { type: "remote-emit", node, client, ...this.#message() };
    const silent = this.#silence ? [client] : [];
    this.#silence = false;
    const question = { silent, timeoutMs: silent.length > 0 ? SILENCE_MS : PLENTY_MS, ...this.#message() };
    if (choice < 20) return { type: "ask-one", client, ...question };
    if (choice < 21) return { type: "remote-ask", node, client, ...question };
    if (choice < 22) return { type: "socket-ask", client, target, ...question };
    return { type: "ask", node, target, promised: random.next() < 0.5, ...question };
  }

  #serverSide(type: "server-side" | "server-side-ask", node: number, namespace: string): Step {
    const others = this.#nodesOf(namespace).filter((one) => one !== node);
    return { type, node, namespace, others, ...this.#message() };
  }

  /** To all namespaces of one kind, of which the node has to have each. */
  #parentEmit(node: number, namespace: string): Step | undefined {
    const parent = parentOf(namespace);
    if (!parent) return undefined;
    const used = this.#clients.map(({ plan }) => plan.namespace).filter((name) => parentOf(name) === parent);
    // Stock Socket.IO with recovery puts another place behind the arguments for each of several.
    if (this.#recovery && new Set(used).size > 1) return undefined;
    return { type: "parent-emit", node, parent, ...this.#message() };
  }

  /**
   * Much at the same time, to rooms in which nobody comes or goes. Meanwhile others are joined, of which the nodes have to
   * catch up with what they follow besides; and clients go and are back at another node, for which nothing may be missing.
   */
  #burst(): Phase {
    const random = this.#random;
    const [first] = this.#some(this.#present(), 1);
    if (!first) return { lanes: [] };
    const { namespace } = first.plan;
    const [left = [], ...others] = this.#shared(this.#some(this.#present(namespace), CLIENTS), 3);
    const lanes: Lane[] = [];
    for (const node of this.#nodesOf(namespace)) {
      for (let count = 1 + random.below(2); count > 0; count--) {
        lanes.push(
          Array.from({ length: 5 + random.below(20) }, () => {
            const rooms = this.#some(this.#rooms, random.pick([0, 1, 1, 1, 1, 2]));
            return this.#emit(node, { namespace, rooms, except: [], local: false });
          }),
        );
      }
    }
    const [joining = []] = others;
    for (const client of joining) lanes.push(this.#joiningLane(client));
    if (!this.#recovery) return { lanes };
    for (const client of left) {
      if (client.restored || random.next() < 0.5) continue;
      const away: Step = { type: "away", client: client.plan.name };
      lanes.push([away, this.#comeBack(client, random.below(NODES))]);
    }
    return { lanes };
  }

  /** A client joins a room of its own, and the servers that have heard of it emit there. */
  #joiningLane({ plan: { name: client, namespace }, node }: Client): Lane {
    const random = this.#random;
    const rooms = [random.pick(["quiet", "quiet/ü"]) + this.#id()];
    const target: Target = { namespace, rooms, except: [], local: false };
    const emits = (from: () => number) =>
      Array.from({ length: 1 + random.below(4) }, () => this.#emit(from(), target));
    const another = this.#nodeOf(namespace);
    switch (random.below(3)) {
      case 0:
        return [{ type: "ask-to-join", client, rooms }, ...emits(() => this.#nodeOf(namespace))];
      case 1:
        return [
          { type: "join", client, rooms },
          { type: random.pick(["fetch", "ids"]), node: another, target, id: this.#id() },
          ...emits(() => another),
        ];
      default:
        return [{ type: "join", client, rooms }, ...emits(() => node)];
    }
  }

  #join(client: string, rooms: readonly string[]): Step {
    return { type: this.#random.pick(["join", "ask-to-join"]), client, rooms };
  }

  /** In so many parts. */
  #shared<T>(items: readonly T[], parts: number): T[][] {
    return Array.from({ length: parts }, (_, part) => items.filter((_one, index) => index % parts === part));
  }

  /** Who is in which room: each client's by one lane, or many clients' by one step. */
  #membership(share: number): Phase {
    const random = this.#random;
    const present = this.#present();
    const [first] = this.#some(present, 1);
    if (first && random.next() < 0.25) {
      const target = this.#target(first.plan.namespace);
      const rooms = this.#some(this.#rooms, 1 + random.below(2));
      const type = random.next() < 0.6 ? "sockets-join" : "sockets-leave";
      return { lanes: [[{ type, node: this.#nodeOf(target.namespace), target, rooms }]] };
    }
    const moved = present.filter(() => random.next() < share);
    return { lanes: moved.map(({ plan }) => this.#membershipLane(plan)) };
  }

  #membershipLane({ name: client, namespace }: ClientPlan): Lane {
    const random = this.#random;
    if (random.next() < 0.2) {
      // Alone: nothing tells when another node has done it.
      const type = random.next() < 0.6 ? "remote-join" : "remote-leave";
      return [{ type, node: this.#nodeOf(namespace), client, room: random.pick(this.#rooms) }];
    }
    return Array.from({ length: 1 + random.below(3) }, (): Step => {
      const choice = random.below(10);
      if (choice < 6) return this.#join(client, this.#some(this.#rooms, 1 + random.below(3)));
      if (choice < 8) return { type: "leave", client, room: random.pick(this.#rooms) };
      // A record of a session holds what JSON does.
      return { type: "data", client, value: makeData(random, !this.#recovery) };
    });
  }

  /** A node's own steps follow each other: who was made to join has what is emitted next, who was made to leave hasn't. */
  #ownOrder(): Phase {
    const random = this.#random;
    const free = new Set(this.#present());
    const lanes: Lane[] = [];
    for (let node = 0; node < NODES; node++) {
      const [first] = this.#some([...free], 1);
      if (!first) break;
      const { namespace } = first.plan;
      if (!this.#nodesOf(namespace).includes(node)) continue;
      const group = this.#some(
        [...free].filter(({ plan }) => plan.namespace === namespace),
        1 + random.below(3),
      );
      for (const client of group) free.delete(client);
      lanes.push(this.#ownLane(node, namespace, group));
    }
    return { lanes };
  }

  #ownLane(node: number, namespace: string, group: readonly Client[]): Lane {
    const random = this.#random;
    const room = random.pick(["own", "own/ü", "holdfast:own"]) + this.#id();
    const to = (rooms: readonly string[]): Target => ({ namespace, rooms, except: [], local: false });
    const all = to([room]);
    const each = to(group.map(({ plan }) => `@${plan.name}`));
    const emits = (): Step[] => Array.from({ length: 1 + random.below(3) }, () => this.#emit(node, all));
    const lane: Step[] = [];
    const own = group.filter((client) => client.node === node);
    const joinsItself = own.length > 0 && random.next() < 0.5;
    const members = joinsItself ? own : group;
    // Who comes later has nothing of what was emitted before.
    const before = () => (random.next() < 0.5 ? emits() : []);
    if (joinsItself) for (const { plan } of own) lane.push(...before(), this.#join(plan.name, [room]));
    else lane.push({ type: "sockets-join", node, target: each, rooms: [room] });
    lane.push(...emits());
    for (const { plan } of own) {
      lane.push({ type: "direct", client: plan.name, ...RELIABLE, ...this.#message() });
      lane.push(...emits());
    }
    const [client] = own;
    switch (random.below(6)) {
      case 0:
        for (const { plan } of own) lane.push({ type: "leave", client: plan.name, room });
        break;
      case 1:
        lane.push({ type: "sockets-leave", node, target: each, rooms: [room] });
        break;
      case 2:
        lane.push({ type: "disconnect-sockets", node, target: all, close: random.next() < 0.5 });
        for (const member of members) member.state = "out";
        break;
      case 3:
        if (!client) break;
        lane.push({ type: "direct", client: client.plan.name, ...RELIABLE, ...this.#message() });
        lane.push({ type: "kick", client: client.plan.name, close: random.next() < 0.5 });
        client.state = "out";
        break;
      case 4:
        for (let changes = 1 + random.below(4); changes > 0; changes--) {
          const all: Step[] = [
            { type: "sockets-join", node, target: each, rooms: [room] },
            { type: "sockets-leave", node, target: each, rooms: [room] },
          ];
          const one: Step[] = client
            ? [{ type: "leave", client: client.plan.name, room }, this.#join(client.plan.name, [room])]
            : [];
          lane.push(random.pick([...all, ...one]), ...before());
        }
    }
    lane.push(...emits());
    return lane;
  }

  /** Clients come and go. */
  #connections(): Phase {
    const random = this.#random;
    const lanes: Lane[] = [];
    for (const client of this.#clients) {
      const node = random.below(NODES);
      if (client.state === "out" && client.restored && this.#recovery) continue;
      if (client.state === "in") {
        if (random.next() < 0.4) lanes.push([this.#go(client)]);
      } else if (random.next() < 0.7) {
        lanes.push([client.state === "out" ? this.#connect(client, node) : this.#comeBack(client, node)]);
      }
    }
    return { lanes };
  }

  #go(client: Client): Step {
    const random = this.#random;
    const { name, namespace } = client.plan;
    const choice = random.below(10);
    if (choice < 6) {
      client.state = "away";
      return { type: "away", client: name };
    }
    client.state = "out";
    if (choice < 7) return { type: "client-disconnect", client: name };
    if (choice < 8) return { type: "kick", client: name, close: random.next() < 0.5 };
    const target = { namespace, rooms: [`@${name}`], except: [], local: false };
    const node = this.#nodeOf(namespace);
    const close = random.next() < 0.5;
    if (choice < 9) return { type: "remote-disconnect", node, client: name, close };
    return { type: "disconnect-sockets", node, target, close };
  }

  #connect(client: Client, node: number): Step {
    this.#place(client, node);
    return { type: "connect", client: client.plan.name, node };
  }

  #comeBack(client: Client, node: number): Step {
    this.#place(client, node);
    client.restored = true;
    return { type: "return", client: client.plan.name, node };
  }

  #place(client: Client, node: number): void {
    client.state = "in";
    client.node = node;
    this.#places.push({ namespace: client.plan.namespace, node, phase: this.#phases.length });
  }

  /** A node that has the namespace. */
  #nodeOf(namespace: string): number {
    return this.#random.pick(this.#nodesOf(namespace));
  }

  /** Nodes name all namespaces at the end of each phase, but what a function lets be comes with its clients alone. */
  #nodesOf(namespace: string): number[] {
    const all = Array.from({ length: NODES }, (_, node) => node);
    if (parentOf(namespace) !== "function") return all;
    const has = (node: number) =>
      this.#places.some(
        (one) => one.namespace === namespace && one.node === node && one.phase < this.#phases.length,
      );
    return all.filter(has);
  }

  #emit(node: number, target: Target): StepOf<"emit"> {
    return { type: "emit", node, target, ...RELIABLE, ...this.#message() };
  }

  #flags() {
    return { volatile: this.#random.below(10) === 0, compress: this.#random.below(4) > 0 };
  }

  #target(namespace: string): Target {
    const random = this.#random;
    const inNamespace = this.#clients.filter(
      ({ plan, state }) => plan.namespace === namespace && state !== "out",
    );
    const all = [...this.#rooms, ...this.#rooms, ...inNamespace.map(({ plan }) => `@${plan.name}`)];
    // One that is away has no node: it would be owed on its return what one node alone was to have.
    const mayBeLocal = inNamespace.every(({ state }) => state === "in");
    return {
      namespace,
      rooms: this.#some(all, random.pick([0, 1, 1, 1, 1, 2, 3])),
      except: this.#some(all, random.pick([0, 0, 0, 0, 1, 2, 3])),
      local: mayBeLocal && random.below(8) === 0,
    };
  }

  #present(namespace?: string): Client[] {
    return this.#clients.filter(
      ({ state, plan }) => state === "in" && (namespace === undefined || plan.namespace === namespace),
    );
  }

  #message() {
    return { id: this.#id(), payload: makePayload(this.#random) };
  }

  #id(): string {
    return `p${this.#phases.length}.${++this.#lastId}`;
  }

  #some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    const taken: T[] = [];
    while (taken.length < count && left.length > 0)
      taken.push(...left.splice(this.#random.below(left.length), 1));
    return taken;
  }
}
