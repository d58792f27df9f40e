import type { Fleet } from "./fleet.ts";
import { FETCH_MS, Patience } from "./patience.ts";
import { describeValue } from "./payloads.ts";
import { MARKER, Player, type Script, SYNC } from "./player.ts";
import { messagesOf, type Phase, type Program } from "./program.ts";
import { Servers } from "./servers.ts";
import { Steps } from "./steps.ts";
import { Targets } from "./targets.ts";
import type { Observation, PhaseTranscript, Transcript } from "./transcript.ts";

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
  readonly #players: ReadonlyMap<string, Player>;
  readonly #servers: Servers;
  readonly #targets: Targets;
  readonly #steps: Steps;
  readonly #patience: Patience;

  constructor(program: Program, fleet: Fleet, patienceMs: number) {
    const script = messagesOf(program) as ReadonlyMap<string, Script>;
    this.#program = program;
    this.#players = new Map(program.clients.map((plan) => [plan.name, new Player(plan, script)]));
    this.#servers = new Servers(program, fleet, script);
    this.#targets = new Targets(program, fleet, this.#servers);
    this.#patience = new Patience(patienceMs);
    this.#steps = new Steps(this.#players, this.#servers, this.#targets, this.#patience);
  }

  async phase(index: number, expected: PhaseTranscript | undefined): Promise<PhaseTranscript> {
    const phase = this.#program.phases[index];
    if (!phase) throw new RangeError(`no phase ${index}`);
    const clients = marked(new Map([...this.#players].map(([name, { seen }]) => [name, seen])));
    const sockets = marked(this.#servers.socketsSeen);
    const nodes = marked(new Map(this.#servers.nodesSeen.entries()));

    await Promise.all(
      phase.lanes.map(async (lane) => {
        for (const step of lane) await this.#steps.do(step);
      }),
    );
    await this.#servers.settled();
    if (expected) {
      await this.#patience.until(() => {
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
    const unmarked = await this.#mark(index);
    if (expected) {
      await this.#patience.until(
        () => describeValue([...this.#servers.rooms()]) === describeValue([...expected.rooms]),
      );
    }
    await this.#untilJoined(phase);
    return {
      clients: clients(),
      sockets: sockets(),
      nodes: [...nodes().values()],
      answers: this.#steps.takeAnswers(),
      rooms: this.#servers.rooms(),
      unmarked: unmarked().map(({ plan }) => plan.name),
    };
  }

  close(): void {
    for (const player of this.#players.values()) player.close();
  }

  /** Tells all clients that are connected that a phase ends, and gives those that have not been told. */
  async #mark(phase: number): Promise<() => Player[]> {
    const connected = [...this.#players.values()].filter((player) => player.connected);
    await Promise.all(connected.map((player) => player.ask(SYNC, []).catch(() => undefined)));
    const nodes = Array.from({ length: this.#program.nodes }, (_, node) => node);
    for (const node of nodes)
      for (const namespace of new Set(connected.map(({ plan }) => plan.namespace)))
        if (this.#servers.has(node, namespace))
          this.#servers.namespace(node, namespace).emit(MARKER, phase, node);
    const nodesOf = (namespace: string) => nodes.filter((node) => this.#servers.has(node, namespace));
    const unmarked = () =>
      connected.filter(
        (player) => player.connected && !player.isMarked(phase, nodesOf(player.plan.namespace)),
      );
    await this.#patience.until(() => unmarked().length === 0);
    return unmarked;
  }

  /** Who was made to join by another server is there as soon as that one is told so, and nobody tells it unless it asks. */
  async #untilJoined({ lanes }: Phase): Promise<void> {
    for (const step of lanes.flat()) {
      if (step.type === "sockets-join")
        await this.#servers.namespace(step.node, step.target.namespace).timeout(FETCH_MS).fetchSockets();
      else if (step.type === "remote-join") await this.#targets.remote(step.node, step.client);
    }
  }
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
