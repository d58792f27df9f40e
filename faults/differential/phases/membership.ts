import { makeData } from "../payloads.ts";
import type { ClientPlan, Lane, Phase, Step } from "../program.ts";
import type { World } from "../world.ts";

/** Who is in which room: each client's by one lane, or many clients' by one step. */
export function makeMembership(world: World, share: number): Phase {
  const { random } = world;
  const present = world.present();
  const [first] = world.some(present, 1);
  if (first && random.next() < 0.25) {
    const target = world.target(first.plan.namespace);
    const rooms = world.some(world.rooms, 1 + random.below(2));
    const type = random.next() < 0.6 ? "sockets-join" : "sockets-leave";
    return { lanes: [[{ type, node: world.nodeOf(target.namespace), target, rooms }]] };
  }
  const moved = present.filter(() => random.next() < share);
  return { lanes: moved.map(({ plan }) => membershipLane(world, plan)) };
}

/** By its server or by itself. */
export function join({ random }: World, client: string, rooms: readonly string[]): Step {
  return { type: random.pick(["join", "ask-to-join"]), client, rooms };
}

function membershipLane(world: World, { name: client, namespace }: ClientPlan): Lane {
  const { random } = world;
  if (random.next() < 0.2) {
    // Alone: nothing tells when another node has done it.
    const type = random.next() < 0.6 ? "remote-join" : "remote-leave";
    return [{ type, node: world.nodeOf(namespace), client, room: random.pick(world.rooms) }];
  }
  return Array.from({ length: 1 + random.below(3) }, (): Step => {
    const choice = random.below(10);
    if (choice < 6) return join(world, client, world.some(world.rooms, 1 + random.below(3)));
    if (choice < 8) return { type: "leave", client, room: random.pick(world.rooms) };
    // A record of a session holds what JSON does.
    return { type: "data", client, value: makeData(random, !world.recovery) };
  });
}
