import { setTimeout as pause } from "node:timers/promises";
import {
  type Broker,
  BrokerError,
  type ChannelEvent,
  LeaseOwner,
  type Position,
  type Subscription,
} from "@holdfast/broker";
import { type Random, seededRandom } from "@holdfast/broker/testing";
import type { FaultProxy } from "../packages/broker/test/fault-proxy.ts";
import { History } from "./history.ts";

export interface EngineFaultsOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly channels: number;
  readonly messages: number;
  /** Faults while messages are published. */
  readonly faults: number;
}

export interface EngineFaultsReport<Fault extends string> {
  readonly seed: number;
  readonly published: number;
  readonly delivered: number;
  /** How often each fault was done. */
  readonly faults: Readonly<Record<Fault, number>>;
  /** Publishes that were refused or unanswered, and repeated with their key. */
  readonly repeated: number;
  /** Times that a subscriber went on from its position, on a node of the seed's choice. */
  readonly resumes: number;
  /** Gaps that subscribers were told of. Where nothing that was accepted may be lost, there is no reason for one. */
  readonly resets: number;
  readonly violations: readonly string[];
}

/** An engine, and how it is broken. */
export interface Breakable<Fault extends string> {
  readonly faults: readonly Fault[];
  /** One that shows only in what is published after it, so it comes first. */
  readonly first?: Fault;
  /** How long a node's lease outlives its last renewal, in milliseconds. */
  readonly leaseTtlMs: number;
  /** A node of this engine, by way of proxies of its own. */
  open(): Promise<{ readonly broker: Broker; readonly proxies: readonly FaultProxy[] }>;
  break(fault: Fault, node: Node, random: Random, progress: Progress): Promise<void>;
}

const GROUP = "holdfast:faults";

/**
 * Nodes that share one broker, which the seed breaks in turn. Publishers repeat what was not accepted, with the same key;
 * subscribers go from node to node with their position. Every node also holds a lease. Reports what the history
 * checker found.
 */
export async function engineFaults<Fault extends string>(
  engine: Breakable<Fault>,
  options: EngineFaultsOptions,
): Promise<EngineFaultsReport<Fault>> {
  const random = seededRandom(options.seed);
  const history = new History();
  const nodes: Node[] = [];
  try {
    for (let n = 0; n < options.nodes; n++) nodes.push(await Node.open(engine, `node-${n + 1}`));
    const channels = Array.from({ length: options.channels }, (_, n) => `room-${n + 1}`);
    const followers = channels.flatMap((channel) =>
      nodes.map((node, n) => new Follower(`subscriber-${n + 1}`, channel, node, history)),
    );
    await Promise.all(followers.map((follower) => follower.subscribed()));

    const progress = { published: 0, repeated: 0, done: false };
    const publishing = Promise.all(
      nodes.map((node, n) => publishAll(node, n, channels, options, random, history, progress)),
    ).finally(() => {
      progress.done = true;
    });
    const breaking = breakInTurn(engine, nodes, options, random, progress);
    const moving = move(followers, nodes, random, progress);
    const [faults, resumes] = await Promise.all([breaking, moving, publishing]);
    await until(() => history.complete(), "every subscriber to have everything");

    // An entry that came twice would have come before this one: each channel is delivered in order.
    const [first] = nodes;
    if (!first) throw new RangeError("There is no node.");
    for (const channel of channels) await publish(first, channel, `${channel}-last`, history, progress);
    await until(() => history.complete(), "the last message of each channel");
    const held = nodes.map(({ name }) => name).join();
    const leases = () => first.broker.leases.list(GROUP).then((all) => all.map(({ key }) => key).join());
    await until(
      () => leases().then((found) => found === held, tryAgain),
      "every node to have its lease back",
    );
    return {
      seed: options.seed,
      published: history.acceptedCount(),
      delivered: history.deliveredCount(),
      faults,
      repeated: progress.repeated,
      resumes,
      resets: followers.reduce((sum, { resets }) => sum + resets, 0),
      violations: history.violations(),
    };
  } catch (error) {
    const details = [`seed ${options.seed}`, ...history.violations().slice(0, 20)];
    throw new Error(`${(error as Error).message}\n${details.join("\n")}`, { cause: error });
  } finally {
    for (const node of nodes) await node.close();
  }
}

/** A socket server as far as the broker sees it. */
export class Node {
  readonly name: string;
  readonly broker: Broker;
  readonly proxies: readonly FaultProxy[];
  readonly #owner: LeaseOwner;

  private constructor(name: string, broker: Broker, proxies: readonly FaultProxy[], ttlMs: number) {
    this.name = name;
    this.broker = broker;
    this.proxies = proxies;
    this.#owner = new LeaseOwner(this.broker, { name, ttlMs });
  }

  static async open(engine: Pick<Breakable<string>, "open" | "leaseTtlMs">, name: string): Promise<Node> {
    const { broker, proxies } = await engine.open();
    const node = new Node(name, broker, proxies, engine.leaseTtlMs);
    const put = () => node.#owner.put(GROUP, name, new Uint8Array());
    // A cluster that has just been started takes its time.
    await until(() => put().then(() => true, tryAgain), "the broker to take a lease");
    return node;
  }

  async close(): Promise<void> {
    await this.broker.close();
    await this.#owner.close();
    await Promise.all(this.proxies.map((proxy) => proxy.close()));
  }
}

/** One subscriber of a channel, which may go on from its position on another node. */
class Follower {
  resets = 0;
  readonly #name: string;
  readonly #channel: string;
  readonly #history: History;
  #position: Position | undefined;
  #subscription: Promise<Subscription>;

  constructor(name: string, channel: string, node: Node, history: History) {
    this.#name = name;
    this.#channel = channel;
    this.#history = history;
    history.subscribed(name, channel);
    this.#subscription = this.#join(node);
  }

  async subscribed(): Promise<void> {
    await this.#subscription;
  }

  async moveTo(node: Node): Promise<void> {
    await (await this.#subscription).close();
    this.#subscription = this.#join(node);
    await this.#subscription;
  }

  async #join(node: Node): Promise<Subscription> {
    for (;;) {
      try {
        const options = this.#position ? { since: this.#position } : {};
        return await node.broker.subscribe(this.#channel, (event) => this.#take(event), options);
      } catch (error) {
        if (!(error instanceof BrokerError) || !error.retryable) throw error;
      }
    }
  }

  #take(event: ChannelEvent): void {
    if (event.type === "subscribed") this.#position = event.position;
    else if (event.type === "entry") {
      const { offset, tag, data } = event.entry;
      this.#position = { epoch: this.#position?.epoch ?? "", offset, tag };
      this.#history.delivered(this.#name, this.#channel, {
        offset,
        id: new TextDecoder().decode(data).trim(),
      });
    } else if (event.type === "reset") {
      this.#position = event.head;
      this.resets++;
    }
  }
}

/** How far a run has come. */
export interface Progress {
  published: number;
  repeated: number;
  done: boolean;
}

async function publishAll(
  node: Node,
  index: number,
  channels: readonly string[],
  { messages, nodes }: EngineFaultsOptions,
  random: Random,
  history: History,
  progress: Progress,
): Promise<void> {
  for (let n = index; n < messages; n += nodes) {
    await publish(node, random.pick(channels), `message-${n}`, history, progress);
    progress.published++;
    // A pace at which the faults fall between messages.
    if (random.below(3) === 0) await pause(random.below(8));
  }
}

async function publish(
  node: Node,
  channel: string,
  id: string,
  history: History,
  progress: Progress,
): Promise<void> {
  const data = new TextEncoder().encode(id.padEnd(400));
  for (;;) {
    try {
      const { position } = await node.broker.publish(channel, data, { idempotencyKey: id });
      history.accepted(channel, position.offset, id);
      return;
    } catch (error) {
      if (!(error instanceof BrokerError) || !error.retryable) throw error;
      progress.repeated++;
      await pause(5);
    }
  }
}

async function breakInTurn<Fault extends string>(
  engine: Breakable<Fault>,
  nodes: readonly Node[],
  options: EngineFaultsOptions,
  random: Random,
  progress: Progress,
): Promise<Record<Fault, number>> {
  const names = engine.faults;
  const done = Object.fromEntries(names.map((name) => [name, 0])) as Record<Fault, number>;
  // Each at least once, if there are enough of them; then by lot.
  const order = Array.from({ length: options.faults }, (_, n) => names[n] ?? random.pick(names));
  order.sort(() => random.next() - 0.5);
  order.sort((one, other) => Number(other === engine.first) - Number(one === engine.first));
  const every = options.messages / (options.faults + 1);
  for (const [turn, fault] of order.entries()) {
    await until(() => progress.done || progress.published >= (turn + 0.5) * every, "the next fault's time");
    await engine.break(fault, random.pick(nodes), random, progress);
    done[fault]++;
  }
  return done;
}

/** Subscribers go from node to node as long as messages are published. @returns how often. */
async function move(
  followers: readonly Follower[],
  nodes: readonly Node[],
  random: Random,
  progress: Progress,
): Promise<number> {
  let moves = 0;
  while (!progress.done) {
    await random.pick(followers).moveTo(random.pick(nodes));
    moves++;
    await pause(10 + random.below(20));
  }
  return moves;
}

/** @returns false where it is worth another try. @throws the error where it is not */
function tryAgain(error: unknown): false {
  if (error instanceof BrokerError && error.retryable) return false;
  throw error;
}

export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
    await pause(10);
  }
}
