import type { Lane, Phase, Step, Target } from "../program.ts";
import { type Client, NODES, RELIABLE, type World } from "../world.ts";
import { join } from "./membership.ts";

/** A node's own steps follow each other: who was made to join has what is emitted next, who was made to leave hasn't. */
export function makeOwnOrder(world: World): Phase {
  const { random } = world;
  const free = new Set(world.present());
  const lanes: Lane[] = [];
  for (let node = 0; node < NODES; node++) {
    const [first] = world.some([...free], 1);
    if (!first) break;
    const { namespace } = first.plan;
    if (!world.nodesOf(namespace).includes(node)) continue;
    const group = world.some(
      [...free].filter(({ plan }) => plan.namespace === namespace),
      1 + random.below(3),
    );
    for (const client of group) free.delete(client);
    lanes.push(ownLane(world, node, namespace, group));
  }
  return { lanes };
}

function ownLane(world: World, node: number, namespace: string, group: readonly Client[]): Lane {
  const { random } = world;
  const room = random.pick(["own", "own/ü", "holdfast:own"]) + world.id();
  const to = (rooms: readonly string[]): Target => ({ namespace, rooms, except: [], local: false });
  const all = to([room]);
  const each = to(group.map(({ plan }) => `@${plan.name}`));
  const emits = (): Step[] => Array.from({ length: 1 + random.below(3) }, () => world.emit(node, all));
  const direct = ({ plan }: Client): Step => ({
    type: "direct",
    client: plan.name,
    ...RELIABLE,
    ...world.message(),
  });
  const lane: Step[] = [];
  const own = group.filter((client) => client.node === node);
  const joinsItself = own.length > 0 && random.next() < 0.5;
  const members = joinsItself ? own : group;
  // Who comes later has nothing of what was emitted before.
  const before = () => (random.next() < 0.5 ? emits() : []);
  if (joinsItself) for (const { plan } of own) lane.push(...before(), join(world, plan.name, [room]));
  else lane.push({ type: "sockets-join", node, target: each, rooms: [room] });
  lane.push(...emits());
  for (const client of own) lane.push(direct(client), ...emits());
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
      lane.push(direct(client));
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
          ? [{ type: "leave", client: client.plan.name, room }, join(world, client.plan.name, [room])]
          : [];
        lane.push(random.pick([...all, ...one]), ...before());
      }
  }
  lane.push(...emits());
  return lane;
}
