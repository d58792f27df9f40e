import type { CommonOrder } from "./fleet.ts";
import type { Program, Step } from "./program.ts";
import type { Transcript } from "./transcript.ts";

interface Sent {
  readonly id: string;
  /** Those it is for. */
  readonly rooms: readonly string[];
  /** From where, one after the other: a node's lane. */
  readonly from: string;
  readonly turn: number;
}

type Sequences = ReadonlyMap<string, readonly Sent[]>;

/**
 * What must hold of the order in which things came: all clients see a room's messages in one order, and everybody sees
 * those that a node emitted to it one after the other in that order; with recovery direct ones are messages to a socket's
 * own room. Not for volatile and local ones. Where the servers promise an order of all rooms, that is one for all clients, too; one
 * to several rooms is a copy for each, which has a place of its own in the order, unless they promise that copies stay together.
 */
export function orderProblems(program: Program, { phases }: Transcript, order: CommonOrder): string[] {
  const sent = sentBy(program);
  const sequences: Sequences = new Map(
    program.clients.map(({ name }) => {
      const ids = phases.flatMap(({ clients }) => clients.get(name)?.map(({ id }) => id) ?? []);
      return [name, ids.flatMap((id) => sent.get(id) ?? [])] as const;
    }),
  );
  return [...turnProblems(sequences, order), ...commonProblems(sequences, order)];
}

/** What a node emitted to a room in one order and a client has in another. */
function turnProblems(sequences: Sequences, order: CommonOrder): string[] {
  const found: string[] = [];
  for (const [name, sequence] of sequences) {
    const latest = new Map<string, Sent>();
    for (const one of sequence) {
      // Unless copies stay together, that of another room may come before what was emitted to this one earlier.
      if (one.rooms.length > 1 && order !== "all-copies") continue;
      for (const room of one.rooms) {
        const stream = `${one.from} ${room}`;
        const before = latest.get(stream);
        if (before && before.turn > one.turn) found.push(`order: ${name} has ${one.id} after ${before.id}`);
        else latest.set(stream, one);
      }
    }
  }
  return found;
}

function commonProblems(sequences: Sequences, order: CommonOrder): string[] {
  if (order !== "one-room") {
    return circles(sequences, ({ rooms }) => rooms.length === 1 || order === "all-copies").map(
      (circle) => `order: no order of all rooms is that of all clients: ${circle}`,
    );
  }
  const rooms = new Set([...sequences.values()].flatMap((sequence) => sequence.flatMap((one) => one.rooms)));
  return [...rooms].flatMap((room) =>
    circles(sequences, (one) => one.rooms.length === 1 && one.rooms[0] === room).map(
      (circle) => `order: no order of room ${room.slice(0, 40)} is that of all clients: ${circle}`,
    ),
  );
}

/**
 * One chain of messages each of which somebody has before the next, the last of them before the first; none where there is one
 * order that is everybody's. Two clients with two messages the other way round are the least of them.
 */
function circles(sequences: Sequences, isMeant: (one: Sent) => boolean): string[] {
  const next = new Map<string, Map<string, string>>();
  for (const [name, sequence] of sequences) {
    const ids = sequence.filter(isMeant).map(({ id }) => id);
    for (const [index, id] of ids.entries()) {
      const after = next.get(id) ?? new Map<string, string>();
      next.set(id, after);
      const follower = ids[index + 1];
      if (follower !== undefined) after.set(follower, name);
    }
  }
  let shortest: string[] | undefined;
  for (const id of onCircles(next)) {
    const way = shortestWay(next, id);
    if (way && (!shortest || way.length < shortest.length)) shortest = way;
  }
  if (!shortest) return [];
  const links = shortest.map((id, index) => {
    const after = shortest[(index + 1) % shortest.length] ?? "";
    return `${next.get(id)?.get(after)} has ${id} before ${after}`;
  });
  return [links.join(", ")];
}

/** What is left when everything is taken away that nothing comes before, again and again. */
function onCircles(next: ReadonlyMap<string, ReadonlyMap<string, string>>): Set<string> {
  const before = new Map([...next.keys()].map((id) => [id, 0]));
  for (const after of next.values()) for (const id of after.keys()) before.set(id, (before.get(id) ?? 0) + 1);
  const free = [...before].flatMap(([id, count]) => (count === 0 ? [id] : []));
  for (let id = free.pop(); id !== undefined; id = free.pop()) {
    before.delete(id);
    for (const after of next.get(id)?.keys() ?? []) {
      const count = (before.get(after) ?? 0) - 1;
      before.set(after, count);
      if (count === 0) free.push(after);
    }
  }
  return new Set(before.keys());
}

/** From a message back to it. */
function shortestWay(
  next: ReadonlyMap<string, ReadonlyMap<string, string>>,
  start: string,
): string[] | undefined {
  const from = new Map<string, string>();
  const open = [start];
  for (let id = open.shift(); id !== undefined; id = open.shift()) {
    for (const after of next.get(id)?.keys() ?? []) {
      if (after === start) {
        const way = [id];
        for (let at = from.get(id); at !== undefined; at = from.get(at)) way.unshift(at);
        return way;
      }
      if (from.has(after)) continue;
      from.set(after, id);
      open.push(after);
    }
  }
  return undefined;
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
        const rooms = roomsOf(step, namespaces, program.recovery);
        if (rooms === undefined || !("id" in step)) continue;
        const node = "node" in step ? step.node : places.get("client" in step ? step.client : "");
        sent.set(step.id, { id: step.id, rooms, from: `${phase}/${lane}/${node}`, turn });
      }
    }
  }
  return sent;
}

/** The rooms that a step's message is for, as far as its order is promised; everybody in a namespace is one. */
function roomsOf(
  step: Step,
  namespaces: ReadonlyMap<string, string>,
  recovery: boolean,
): string[] | undefined {
  const of = (namespace: string | undefined, rooms: readonly string[]) =>
    rooms.length === 0 ? [`all of ${namespace}`] : rooms.map((room) => `${namespace} ${room}`);
  switch (step.type) {
    case "emit":
    case "socket-emit": {
      const { target, volatile } = step;
      return target.local || volatile ? undefined : of(target.namespace, target.rooms);
    }
    case "ask":
    case "socket-ask":
      return step.target.local ? undefined : of(step.target.namespace, step.target.rooms);
    case "remote-emit":
    case "remote-ask":
      return of(namespaces.get(step.client), [`@${step.client}`]);
    case "direct":
      return recovery && !step.volatile ? of(namespaces.get(step.client), [`@${step.client}`]) : undefined;
    default:
      return undefined;
  }
}
