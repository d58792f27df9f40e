import { seededRandom } from "@holdfast/broker/testing";
import { makeBurst } from "./phases/burst.ts";
import { connect, makeConnections } from "./phases/connections.ts";
import { makeMembership } from "./phases/membership.ts";
import { makeOwnOrder } from "./phases/own-order.ts";
import { makeTraffic } from "./phases/traffic.ts";
import type { Phase, Program } from "./program.ts";
import { NODES, World } from "./world.ts";

const PHASES = 12;

/**
 * The program of a seed: the same one each time.
 *
 * @param mayRecover whether it may be one for servers with `connectionStateRecovery`
 */
export function makeProgram(seed: number, mayRecover = true): Program {
  const random = seededRandom(seed);
  const recovery = random.next() < 0.5 && mayRecover;
  const deflate = random.next() < 0.2;
  const world = new World(random, recovery);
  const phases: Phase[] = [];
  const add = (phase: Phase) => {
    phases.push(phase);
    world.endPhase();
  };
  add({ lanes: world.clients.map((client) => [connect(world, client, client.node)]) });
  add(makeMembership(world, 0.9));
  const kinds: readonly ((world: World) => Phase)[] = [
    makeTraffic,
    makeTraffic,
    makeTraffic,
    makeBurst,
    makeBurst,
    (one) => makeMembership(one, 0.5),
    makeOwnOrder,
    makeOwnOrder,
    // Who comes back is what recovery is about.
    ...Array.from({ length: recovery ? 4 : 2 }, () => makeConnections),
  ];
  while (phases.length < PHASES - 1) {
    const phase = random.pick(kinds)(world);
    if (phase.lanes.length > 0) add(phase);
  }
  add(makeTraffic(world));
  return { seed, recovery, deflate, nodes: NODES, clients: world.clients.map(({ plan }) => plan), phases };
}
