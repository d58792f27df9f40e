import { type Random, seededRandom } from "@holdfast/broker/testing";
import { makePayload } from "./payloads.ts";
import type { ClientPlan, Lane, Phase, Program, Step, StepOf, Target } from "./program.ts";

/** It is there once a client or the server names it. */
const DYNAMIC = "/dynamic-1";
const NAMESPACES = ["/", "/", "/", "/chat", DYNAMIC];
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

class Generator {
  readonly #seed: number;
  readonly #random: Random;
  readonly #recovery: boolean;
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
      nodes: NODES,
      clients: this.#clients.map(({ plan }) => plan),
      phases: this.#phases,
    };
  }

  /** Everything that changes nobody's place: emits of all kinds, questions, and looks. */
  #traffic(): Phase {
    const lanes: Lane[] = [];
    for (let count = 1 + this.#random.below(5); count > 0; count--) {
      const node = this.#random.below(NODES);
      const [client] = this.#some(this.#present(), 1);
      const namespace = client?.plan.namespace ?? "/";
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
    const inNamespace = this.#present(target.namespace);
    const client = inNamespace.length === 0 ? undefined : random.pick(inNamespace).plan.name;
    const choice = random.below(client === undefined ? 8 : 20);
    const { rooms, except } = target;
    const namespace = target.namespace === DYNAMIC ? "/" : target.namespace;
    if (choice < 5)
      return { type: "emit", node, target, volatile: random.below(10) === 0, ...this.#message() };
    if (choice < 6) return { type: "server-side", node, namespace, ...this.#message() };
    if (choice < 7 || client === undefined) return { type: "fetch", node, target, id: this.#id() };
    if (choice < 8) return { type: "server-side-ask", node, namespace, ...this.#message() };
    if (choice < 12) return { type: "socket-emit", client, rooms, except, ...this.#message() };
    if (choice < 14) return { type: "direct", client, volatile: random.below(10) === 0, ...this.#message() };
    if (choice < 16) return { type: "say", client, ack: random.next() < 0.5, ...this.#message() };
    if (choice < 17) return { type: "remote-emit", node, client, ...this.#message() };
    const silent = this.#silence ? [client] : [];
    this.#silence = false;
    const question = { silent, timeoutMs: silent.length > 0 ? SILENCE_MS : PLENTY_MS, ...this.#message() };
    return choice < 18
      ? { type: "ask-one", client, ...question }
      : { type: "ask", node, target, ...question };
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
      return { lanes: [[{ type, node: random.below(NODES), target, rooms }]] };
    }
    const moved = present.filter(() => random.next() < share);
    return { lanes: moved.map((client) => this.#membershipLane(client.plan.name)) };
  }

  #membershipLane(client: string): Lane {
    const random = this.#random;
    if (random.next() < 0.2) {
      // Alone: nothing tells when another node has done it.
      const type = random.next() < 0.6 ? "remote-join" : "remote-leave";
      return [{ type, node: random.below(NODES), client, room: random.pick(this.#rooms) }];
    }
    return Array.from({ length: 1 + random.below(3) }, (): Step => {
      const choice = random.below(10);
      if (choice < 6) return { type: "join", client, rooms: this.#some(this.#rooms, 1 + random.below(3)) };
      if (choice < 8) return { type: "leave", client, room: random.pick(this.#rooms) };
      return { type: "data", client, value: this.#id() };
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
    if (joinsItself)
      for (const { plan } of own) lane.push({ type: "join", client: plan.name, rooms: [room] });
    else lane.push({ type: "sockets-join", node, target: each, rooms: [room] });
    lane.push(...emits());
    for (const { plan } of own) {
      lane.push({ type: "direct", client: plan.name, volatile: false, ...this.#message() });
      lane.push(...emits());
    }
    const [client] = own;
    switch (random.below(5)) {
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
        lane.push({ type: "direct", client: client.plan.name, volatile: false, ...this.#message() });
        lane.push({ type: "kick", client: client.plan.name, close: random.next() < 0.5 });
        client.state = "out";
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
    return {
      type: "disconnect-sockets",
      node: random.below(NODES),
      target,
      close: random.next() < 0.5,
    };
  }

  #connect(client: Client, node: number): Step {
    client.state = "in";
    client.node = node;
    return { type: "connect", client: client.plan.name, node };
  }

  #comeBack(client: Client, node: number): Step {
    client.state = "in";
    client.node = node;
    client.restored = true;
    return { type: "return", client: client.plan.name, node };
  }

  #emit(node: number, target: Target): StepOf<"emit"> {
    return { type: "emit", node, target, volatile: false, ...this.#message() };
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
      except: this.#some(all, random.pick([0, 0, 0, 1, 2])),
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
