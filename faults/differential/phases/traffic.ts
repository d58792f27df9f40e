import { type Lane, type Phase, parentOf, type Step, type Target } from "../program.ts";
import type { World } from "../world.ts";

const PLENTY_MS = 5000;
/** A client that doesn't answer costs the run this long. All others have it to answer in. */
const SILENCE_MS = 1000;

/** Everything that changes nobody's place: emits of all kinds, questions, and looks. */
export function makeTraffic(world: World): Phase {
  const { random } = world;
  const lanes: Lane[] = [];
  for (let count = 1 + random.below(5); count > 0; count--) {
    const [client] = world.some(world.present(), 1);
    const namespace = client?.plan.namespace ?? "/";
    const node = world.nodeOf(namespace);
    const target = world.target(namespace);
    const lane: Step[] = [];
    for (let steps = 1 + random.below(6); steps > 0; steps--) {
      // Often the same target again, so that there is an order to keep.
      const to = random.next() < 0.5 ? target : world.target(namespace);
      lane.push(trafficStep(world, node, to));
    }
    lanes.push(lane);
  }
  return { lanes };
}

function trafficStep(world: World, node: number, target: Target): Step {
  const { random } = world;
  const { namespace } = target;
  const inNamespace = world.present(namespace);
  const client = inNamespace.length === 0 ? undefined : random.pick(inNamespace).plan.name;
  const choice = random.below(client === undefined ? 9 : 23);
  if (choice < 5) return { type: "emit", node, target, ...flags(world), ...world.message() };
  if (choice < 6) return serverSide(world, "server-side", node, namespace);
  if (choice < 7) return serverSide(world, "server-side-ask", node, namespace);
  if (choice < 8) return { type: "fetch", node, target, id: world.id() };
  if (choice < 9 || client === undefined) return { type: "ids", node, target, id: world.id() };
  if (choice < 13) return { type: "socket-emit", client, target, ...flags(world), ...world.message() };
  if (choice < 15) return { type: "direct", client, ...flags(world), ...world.message() };
  if (choice < 17) return { type: "say", client, ack: random.next() < 0.5, ...world.message() };
  if (choice < 18) return parentEmit(world, node, namespace) ?? { type: "ids", node, target, id: world.id() };
  if (choice < 19) return { type: "remote-emit", node, client, ...world.message() };
  const silent = world.takeSilence() ? [client] : [];
  const question = { silent, timeoutMs: silent.length > 0 ? SILENCE_MS : PLENTY_MS, ...world.message() };
  if (choice < 20) return { type: "ask-one", client, ...question };
  if (choice < 21) return { type: "remote-ask", node, client, ...question };
  if (choice < 22) return { type: "socket-ask", client, target, ...question };
  return { type: "ask", node, target, promised: random.next() < 0.5, ...question };
}

function flags({ random }: World) {
  return { volatile: random.below(10) === 0, compress: random.below(4) > 0 };
}

function serverSide(
  world: World,
  type: "server-side" | "server-side-ask",
  node: number,
  namespace: string,
): Step {
  const others = world.nodesOf(namespace).filter((one) => one !== node);
  return { type, node, namespace, others, ...world.message() };
}

/** To all namespaces of one kind, of which the node has to have each. */
function parentEmit(world: World, node: number, namespace: string): Step | undefined {
  const parent = parentOf(namespace);
  if (!parent) return undefined;
  const used = world.clients.map(({ plan }) => plan.namespace).filter((name) => parentOf(name) === parent);
  // Stock Socket.IO with recovery puts another place behind the arguments for each of several.
  if (world.recovery && new Set(used).size > 1) return undefined;
  return { type: "parent-emit", node, parent, ...world.message() };
}
