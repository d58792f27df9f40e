import type { CommonOrder } from "./fleet.ts";
import { orderProblems } from "./order.ts";
import { messagesOf, type Program, type Step } from "./program.ts";
import type { Observation, PhaseTranscript, Transcript } from "./transcript.ts";

/**
 * Every way in which what a program showed on several servers differs from what it showed on one: empty when each
 * client and server has seen the same, once, and nothing broke the rules of order.
 */
export function differences(
  program: Program,
  expected: Transcript,
  actual: Transcript,
  order: CommonOrder,
): string[] {
  const comparison = new Comparison(program);
  const found = program.phases.flatMap((_, index) => {
    const [wanted, was] = [expected.phases[index], actual.phases[index]];
    return wanted && was ? comparison.phase(index, wanted, was) : [`phase ${index} was not run`];
  });
  return [...found, ...orderProblems(program, actual, order)];
}

class Comparison {
  readonly #program: Program;
  readonly #messages: ReadonlyMap<string, Step>;

  constructor(program: Program) {
    this.#program = program;
    this.#messages = messagesOf(program);
  }

  phase(index: number, expected: PhaseTranscript, actual: PhaseTranscript): string[] {
    const found: string[] = [];
    const add = (what: string, problems: readonly string[]) => {
      for (const problem of problems) found.push(`phase ${index}, ${what}: ${problem}`);
    };
    const steps = this.#program.phases[index]?.lanes.flat() ?? [];
    for (const { name } of this.#program.clients) {
      const [wanted, was] = [expected.clients.get(name) ?? [], actual.clients.get(name) ?? []];
      add(name, multisetProblems(this.#certain(wanted), this.#certain(was)));
      add(name, this.#volatileProblems(name, was, expected));
      const isWrittenTo = steps.some(({ type }) => type === "emit");
      const happened = (seen: readonly Observation[] = []) => (isWrittenTo ? seen.map(ended) : seen);
      add(
        `${name}'s socket`,
        multisetProblems(happened(expected.sockets.get(name)), happened(actual.sockets.get(name))),
      );
      const [inRooms, wereIn] = [expected.rooms.get(name) ?? "none", actual.rooms.get(name) ?? "none"];
      add(`${name}'s rooms`, inRooms === wereIn ? [] : [`expected ${inRooms}, got ${wereIn}`]);
    }
    for (const [node, seen] of actual.nodes.entries())
      add(`node ${node}`, multisetProblems(expected.nodes[node] ?? [], seen));
    for (const step of steps) {
      if (!("id" in step)) continue;
      const [wanted, was] = [expected.answers.get(step.id), actual.answers.get(step.id)];
      if (wanted !== was) add(`${step.type} ${step.id}`, [`expected ${short(wanted)}, got ${short(was)}`]);
    }
    add(
      "markers",
      actual.unmarked.map((name) => `${name} did not get them all`),
    );
    return found;
  }

  /** Without what is volatile, which need not come. */
  #certain(seen: readonly Observation[]): Observation[] {
    return seen
      .filter(({ id }) => !this.#isVolatile(id))
      .map(({ id, value }) =>
        this.#isLocal(id) ? { id, value: value.replace(/ and (a place|null)$/, "") } : { id, value },
      );
  }

  #isVolatile(id: string): boolean {
    const step = this.#messages.get(id);
    return step !== undefined && "volatile" in step && step.volatile;
  }

  /** It is not kept, so there is no place in a log to tell of; Holdfast lets no argument be taken for one. */
  #isLocal(id: string): boolean {
    const step = this.#messages.get(id);
    return step !== undefined && "target" in step && step.target.local;
  }

  /** At most once, and to those only whom it is for. */
  #volatileProblems(name: string, seen: readonly Observation[], { rooms }: PhaseTranscript): string[] {
    const ids = seen.map(({ id }) => id).filter((id) => this.#isVolatile(id));
    const doubled = ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} came twice`);
    const astray = ids
      .filter((id) => {
        const step = this.#messages.get(id);
        if (step?.type === "direct") return step.client !== name;
        if (step?.type !== "emit" && step?.type !== "socket-emit") return true;
        if (step.type === "socket-emit" && step.client === name) return true;
        const mine = JSON.parse(rooms.get(name) ?? "[]") as string[];
        const { target } = step;
        const isMeant = target.rooms.length === 0 || target.rooms.some((room) => mine.includes(room));
        return !isMeant || target.except.some((room) => mine.includes(room));
      })
      .map((id) => `${id} is not for it`);
    return [...doubled, ...astray];
  }
}

/** A connection that is lost while it is written to: the reason is whether the write or the end was noticed first. */
function ended(one: Observation): Observation {
  const isLoss = one.id === "disconnect" && one.value === "transport error";
  return isLoss ? { ...one, value: "transport close" } : one;
}

function multisetProblems(expected: readonly Observation[], actual: readonly Observation[]): string[] {
  const key = ({ id, value }: Observation) => `${id} ${short(value)}`;
  const counts = new Map<string, number>();
  for (const one of expected) counts.set(key(one), (counts.get(key(one)) ?? 0) + 1);
  for (const one of actual) counts.set(key(one), (counts.get(key(one)) ?? 0) - 1);
  return [...counts].flatMap(([what, count]) =>
    count === 0
      ? []
      : [`${count > 0 ? "missing" : "too much"}: ${what}${Math.abs(count) > 1 ? ` (${count})` : ""}`],
  );
}

function short(text: string | undefined): string {
  if (text === undefined) return "nothing";
  return text.length <= 200 ? text : `${text.slice(0, 150)}… (${text.length} characters, ${hash(text)})`;
}

/** So that two long texts that begin alike aren't taken for one. */
function hash(text: string): string {
  let sum = 7;
  for (let index = 0; index < text.length; index++) sum = (Math.imul(sum, 31) + text.charCodeAt(index)) | 0;
  return (sum >>> 0).toString(16);
}
