import { setTimeout as sleep } from "node:timers/promises";
import type { Measurement, Run } from "../../harness.ts";
import type { SubjectProcess } from "../../subject-process.ts";
import type { Adapter, NodeCalls } from "./calls.ts";
import { MESSAGE_BYTES } from "./inbox.ts";

const HOLDFAST = new URL("./holdfast-node.ts", import.meta.url);
const SOCKET_IO = new URL("./socketio-node.ts", import.meta.url);

const CHANNELS: readonly string[] = Array.from({ length: 40 }, (_, n) => `spread.${n}`);
/** Messages of each channel that are on their way at one time; no adapter drops one of so few. */
const AT_A_TIME = 25;
const PROBE_MS = 50;

export const ONE_NODE = "received by a node per message of its own, one node";
export const SPREAD = "received by a node per message of its own, spread";
export const OF_PAYLOAD = "received by a node per byte of its own payload, spread";

/**
 * Channels are followed by one node each: first all by the same, then spread evenly over several. Every message is
 * published by a process of its own. How much of the broker's traffic does a node receive for what it delivers?
 */
export async function measureSpread(
  run: Run,
  url: string,
  adapter?: Adapter,
): Promise<readonly Measurement[]> {
  const one = await measureNodes(run, url, adapter, 1);
  const spread = await measureNodes(run, url, adapter, run.option("nodes"));
  return [
    { metric: ONE_NODE, unit: "bytes", value: one },
    { metric: SPREAD, unit: "bytes", value: spread },
    { metric: OF_PAYLOAD, unit: "bytes", value: spread / MESSAGE_BYTES },
  ];
}

/** @returns bytes that a node has received for each message that it has delivered, as a mean over the nodes */
async function measureNodes(
  run: Run,
  url: string,
  adapter: Adapter | undefined,
  count: number,
): Promise<number> {
  const started: SubjectProcess<NodeCalls>[] = [];
  const start = async (channels: readonly string[]) => {
    const node = await run.start<NodeCalls>(adapter ? SOCKET_IO : HOLDFAST, "load");
    started.push(node);
    await node.call("open", { url, channels, adapter });
    return node;
  };
  try {
    const channels = CHANNELS.map((channel) => `${count}.${channel}`);
    const shares = Array.from({ length: count }, (_, n) =>
      channels.filter((_, index) => index % count === n),
    );
    const [publisher, ...nodes] = await Promise.all([start([]), ...shares.map(start)]);
    await untilFollowed(publisher, nodes, channels);

    const perChannel = Math.ceil(run.option("messages") / CHANNELS.length);
    await send(publisher, nodes, { channels, first: 0, count: 1 });
    const before = await received(nodes);
    for (let first = 1; first <= perChannel; first += AT_A_TIME)
      await send(publisher, nodes, { channels, first, count: Math.min(AT_A_TIME, perChannel + 1 - first) });
    return ((await received(nodes)) - before) / (perChannel * CHANNELS.length);
  } finally {
    await Promise.all(started.map((node) => node.stop()));
  }
}

type Node = SubjectProcess<NodeCalls>;

/** Not every adapter says when it has subscribed. */
async function untilFollowed(
  publisher: Node,
  nodes: readonly Node[],
  channels: readonly string[],
): Promise<void> {
  let waiting = true;
  const followed = Promise.all(nodes.map((node) => node.call("follows", null))).finally(() => {
    waiting = false;
  });
  followed.catch(() => {});
  while (waiting) {
    await publisher.call("probe", { channels });
    await Promise.race([sleep(PROBE_MS), followed]);
  }
  await followed;
}

async function send(
  publisher: Node,
  nodes: readonly Node[],
  publishing: NodeCalls["publish"]["argument"],
): Promise<void> {
  await publisher.call("publish", publishing);
  const number = publishing.first + publishing.count - 1;
  await Promise.all(nodes.map((node) => node.call("delivered", { number })));
}

async function received(nodes: readonly Node[]): Promise<number> {
  const each = await Promise.all(nodes.map((node) => node.call("receivedBytes", null)));
  return each.reduce((sum, bytes) => sum + bytes, 0);
}
