import type { Program, Step } from "./program.ts";
import type { Transcript } from "./transcript.ts";

interface Sent {
  readonly id: string;
  /** The one room it is for. */
  readonly room: string;
  /** From where, one after the other: a node's lane. */
  readonly from: string;
  readonly turn: number;
}

/**
 * What must hold of the order in which things came: all clients see a room's messages in one order, and everybody sees
 * those that a node emitted to it one after the other in that order; with recovery direct ones are messages to a socket's
 * own room. Not for volatile and local ones, nor for those to several rooms, which come by the first room that has them.
 */
export function orderProblems(program: Program, { phases }: Transcript): string[] {
  const sent = sentBy(program);
  const sequences = new Map(
    program.clients.map(({ name }) => {
      const ids = phases.flatMap(({ clients }) => clients.get(name)?.map(({ id }) => id) ?? []);
      return [name, ids.flatMap((id) => sent.get(id) ?? [])] as const;
    }),
  );
  const found: string[] = [];
  for (const [name, sequence] of sequences) {
    const latest = new Map<string, Sent>();
    for (const one of sequence) {
      const stream = `${one.from} ${one.room}`;
      const before = latest.get(stream);
      if (before && before.turn > one.turn) found.push(`order: ${name} has ${one.id} after ${before.id}`);
      else latest.set(stream, one);
    }
  }
  return [...found, ...roomProblems(sequences)];
}

function roomProblems(sequences: ReadonlyMap<string, readonly Sent[]>): string[] {
  const found: string[] = [];
  const rooms = new Set([...sequences.values()].flatMap((sequence) => sequence.map(({ room }) => room)));
  for (const room of rooms) {
    const places = [...sequences].map(([name, sequence]) => {
      const ids = sequence.filter((one) => one.room === room).map(({ id }) => id);
      return { name, at: new Map(ids.map((id, index) => [id, index])) };
    });
    for (const [index, one] of places.entries())
      for (const other of places.slice(index + 1)) {
        const common = [...one.at.keys()].flatMap((id) => other.at.get(id) ?? []);
        const swapped = common.findIndex((place, at) => at > 0 && place < (common[at - 1] ?? -1));
        if (swapped > 0)
          found.push(
            `order: ${one.name} and ${other.name} have messages of room ${room.slice(0, 40)} in two orders`,
          );
      }
  }
  return found;
}

function sentBy(program: Program): Map<string, Sent> {
  const sent = new Map<string, Sent>();
  const places = new Map<string, number>();
  const namespaces = new Map(program.clients.map(({ name, namespace }) => [name, namespace]));
  for (const [phase, { lanes }] of program.phases.entries()) {
    for (const step of lanes.flat())
      if (step.type === "connect" || step.type === "return") places.set(step.client, step.node);
    for (const [lane, steps] of lanes.entries()) {
      for (const [turn, step] of steps.entries()) {
        const room = roomOf(step, namespaces, program.recovery);
        if (room === undefined || !("id" in step)) continue;
        const node = "node" in step ? step.node : places.get("client" in step ? step.client : "");
        sent.set(step.id, { id: step.id, room, from: `${phase}/${lane}/${node}`, turn });
      }
    }
  }
  return sent;
}

/** The one room that a step's message is for, as far as its order is promised. */
function roomOf(step: Step, namespaces: ReadonlyMap<string, string>, recovery: boolean): string | undefined {
  switch (step.type) {
    case "emit":
    case "ask": {
      const { namespace, rooms, local } = step.target;
      if (local || rooms.length > 1 || (step.type === "emit" && step.volatile)) return undefined;
      return `${namespace} ${rooms[0] ?? ""}`;
    }
    case "socket-emit":
      return step.rooms.length > 1 ? undefined : `${namespaces.get(step.client)} ${step.rooms[0] ?? ""}`;
    case "direct":
      return recovery && !step.volatile ? `${namespaces.get(step.client)} @${step.client}` : undefined;
    default:
      return undefined;
  }
}
