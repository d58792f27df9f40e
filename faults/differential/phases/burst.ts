import type { Lane, Phase, Step, Target } from "../program.ts";
import { type Client, NODES, type World } from "../world.ts";
import { comeBack } from "./connections.ts";

/**
 * Much at the same time, to rooms in which nobody comes or goes. Meanwhile others are joined, of which the nodes have to
 * catch up with what they follow besides; and clients go and are back at another node, for which nothing may be missing.
 */
export function makeBurst(world: World): Phase {
  const { random } = world;
  const [first] = world.some(world.present(), 1);
  if (!first) return { lanes: [] };
  const { namespace } = first.plan;
  const [left = [], ...others] = shared(world.some(world.present(namespace), world.clients.length), 3);
  const lanes: Lane[] = [];
  for (const node of world.nodesOf(namespace)) {
    for (let count = 1 + random.below(2); count > 0; count--) {
      lanes.push(
        Array.from({ length: 5 + random.below(20) }, () => {
          const rooms = world.some(world.rooms, random.pick([0, 1, 1, 1, 1, 2]));
          return world.emit(node, { namespace, rooms, except: [], local: false });
        }),
      );
    }
  }
  const [joining = []] = others;
  for (const client of joining) lanes.push(joiningLane(world, client));
  if (!world.recovery) return { lanes };
  for (const client of left) {
    if (client.restored || random.next() < 0.5) continue;
    const away: Step = { type: "away", client: client.plan.name };
    lanes.push([away, comeBack(world, client, random.below(NODES))]);
  }
  return { lanes };
}

/** A client joins a room of its own, and the servers that have heard of it emit there. */
function joiningLane(world: World, { plan: { name: client, namespace }, node }: Client): Lane {
  const { random } = world;
  const rooms = [random.pick(["quiet", "quiet/ü"]) + world.id()];
  const target: Target = { namespace, rooms, except: [], local: false };
  const emits = (from: () => number) =>
    Array.from({ length: 1 + random.below(4) }, () => world.emit(from(), target));
  const another = world.nodeOf(namespace);
  switch (random.below(3)) {
    case 0:
      return [{ type: "ask-to-join", client, rooms }, ...emits(() => world.nodeOf(namespace))];
    case 1:
      return [
        { type: "join", client, rooms },
        { type: random.pick(["fetch", "ids"]), node: another, target, id: world.id() },
        ...emits(() => another),
      ];
    default:
      return [{ type: "join", client, rooms }, ...emits(() => node)];
  }
}

/** In so many parts. */
function shared<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, part) => items.filter((_one, index) => index % parts === part));
}
