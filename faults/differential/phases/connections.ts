import type { Lane, Phase, Step } from "../program.ts";
import { type Client, NODES, type World } from "../world.ts";

/** Clients come and go. */
export function makeConnections(world: World): Phase {
  const { random } = world;
  const lanes: Lane[] = [];
  for (const client of world.clients) {
    const node = random.below(NODES);
    if (client.state === "out" && client.restored && world.recovery) continue;
    if (client.state === "in") {
      if (random.next() < 0.4) lanes.push([go(world, client)]);
    } else if (random.next() < 0.7) {
      lanes.push([client.state === "out" ? connect(world, client, node) : comeBack(world, client, node)]);
    }
  }
  return { lanes };
}

export function connect(world: World, client: Client, node: number): Step {
  world.place(client, node);
  return { type: "connect", client: client.plan.name, node };
}

/** After it was away. */
export function comeBack(world: World, client: Client, node: number): Step {
  world.place(client, node);
  client.restored = true;
  return { type: "return", client: client.plan.name, node };
}

function go(world: World, client: Client): Step {
  const { random } = world;
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
  const node = world.nodeOf(namespace);
  const close = random.next() < 0.5;
  if (choice < 9) return { type: "remote-disconnect", node, client: name, close };
  return { type: "disconnect-sockets", node, target, close };
}
