import type { Random } from "@holdfast/broker/testing";
import { makePayload } from "./payloads.ts";
import { type ClientPlan, parentOf, type StepOf, type Target } from "./program.ts";

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

/** How what must come is emitted. */
export const RELIABLE = { volatile: false, compress: true } as const;

export const NODES = 3;
const CLIENTS = 8;

/** What the generator knows of a client at the end of the phase that it has just made. */
export interface Client {
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

/** What a program has come to so far, and what may be chosen in it: clients, nodes, rooms and messages. */
export class World {
  readonly random: Random;
  readonly recovery: boolean;
  readonly clients: readonly Client[];
  readonly rooms: readonly string[];
  readonly #places: Place[] = [];
  #phase = 0;
  #lastId = 0;
  #silence: boolean;

  constructor(random: Random, recovery: boolean) {
    this.random = random;
    this.recovery = recovery;
    this.#silence = random.next() < 0.15;
    this.rooms = this.some(ROOMS, 5);
    this.clients = Array.from({ length: CLIENTS }, (_, n) => ({
      plan: {
        name: `c${n + 1}`,
        namespace: n < 3 ? "/" : random.pick(NAMESPACES),
        transports: random.pick(TRANSPORTS),
        greeted: random.next() < 0.4 ? [random.pick(this.rooms)] : [],
      },
      state: "out" as const,
      node: n % NODES,
      restored: false,
    }));
  }

  /** What is made from now on belongs to the next phase. */
  endPhase(): void {
    this.#phase++;
  }

  /** Those that are connected; only those of a namespace, where one is given. */
  present(namespace?: string): Client[] {
    return this.clients.filter(
      ({ state, plan }) => state === "in" && (namespace === undefined || plan.namespace === namespace),
    );
  }

  /** A client is connected to a node from now on. */
  place(client: Client, node: number): void {
    client.state = "in";
    client.node = node;
    this.#places.push({ namespace: client.plan.namespace, node, phase: this.#phase });
  }

  /** A node that has the namespace. */
  nodeOf(namespace: string): number {
    return this.random.pick(this.nodesOf(namespace));
  }

  /** Nodes name all namespaces at the end of each phase, but what a function lets be comes with its clients alone. */
  nodesOf(namespace: string): number[] {
    const all = Array.from({ length: NODES }, (_, node) => node);
    if (parentOf(namespace) !== "function") return all;
    const has = (node: number) =>
      this.#places.some((one) => one.namespace === namespace && one.node === node && one.phase < this.#phase);
    return all.filter(has);
  }

  target(namespace: string): Target {
    const { random } = this;
    const inNamespace = this.clients.filter(
      ({ plan, state }) => plan.namespace === namespace && state !== "out",
    );
    const all = [...this.rooms, ...this.rooms, ...inNamespace.map(({ plan }) => `@${plan.name}`)];
    // One that is away has no node: it would be owed on its return what one node alone was to have.
    const mayBeLocal = inNamespace.every(({ state }) => state === "in");
    return {
      namespace,
      rooms: this.some(all, random.pick([0, 1, 1, 1, 1, 2, 3])),
      except: this.some(all, random.pick([0, 0, 0, 0, 1, 2, 3])),
      local: mayBeLocal && random.below(8) === 0,
    };
  }

  emit(node: number, target: Target): StepOf<"emit"> {
    return { type: "emit", node, target, ...RELIABLE, ...this.message() };
  }

  message() {
    return { id: this.id(), payload: makePayload(this.random) };
  }

  /** One that nothing else in the program has. */
  id(): string {
    return `p${this.#phase}.${++this.#lastId}`;
  }

  /** Whether nobody is to answer a question: one of a program's at most, as it costs the run its time. */
  takeSilence(): boolean {
    const silence = this.#silence;
    this.#silence = false;
    return silence;
  }

  /** So many of them, or all if there are no more, in any order. */
  some<T>(items: readonly T[], count: number): T[] {
    const left = [...items];
    const taken: T[] = [];
    while (taken.length < count && left.length > 0)
      taken.push(...left.splice(this.random.below(left.length), 1));
    return taken;
  }
}
