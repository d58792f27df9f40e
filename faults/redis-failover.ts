import { setTimeout as pause } from "node:timers/promises";
import { type Broker, BrokerError, type Entry, type Position, type Subscription } from "@holdfast/broker";
import { type Random, seededRandom } from "@holdfast/broker/testing";
import { connectRedisBroker } from "@holdfast/broker-redis";
import { SentinelSystem } from "../packages/broker-redis/test/redis-sentinel.ts";
import { until } from "./engine.ts";
import { type Acceptance, commonViolations, type FinalLog, lostOf, Witnessed } from "./failover-history.ts";

export interface FailoverOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly channels: number;
  /** Primaries that are lost, each in another way. */
  readonly faults: number;
}

export type FailoverFault = "handover" | "loss" | "hang" | "amnesia";

export interface FailoverReport {
  readonly seed: number;
  readonly accepted: number;
  /** Accepted, and not in the log in the end: that this happened is what the run is about. */
  readonly lost: number;
  /** Lost likewise, and nobody was left who knew of it but those who asked for it. */
  readonly unseen: number;
  readonly delivered: number;
  readonly faults: Readonly<Record<FailoverFault, number>>;
  /** Publishes that were refused or unanswered, and repeated with their key. */
  readonly repeated: number;
  readonly resumes: number;
  /** Times that a subscriber was told that something was lost. */
  readonly resets: number;
  readonly violations: readonly string[];
}

interface Run {
  readonly random: Random;
  readonly accepted: Acceptance[];
  /** Of a channel that nobody follows, by nodes that ended before they could notice a loss. */
  readonly unseen: Acceptance[];
  readonly violations: string[];
  repeated: number;
  done: boolean;
}

const ALONE = "alone";
const FAULTS: readonly FailoverFault[] = ["loss", "handover", "hang", "amnesia"];
const QUICK = { minBackOffMs: 10, maxBackOffMs: 100, heartbeatMs: 100, deadAfterMs: 500, requestMs: 3000 };
/** Whom replicas are to the primary, so that it can shut them out. */
const REPLICA = { user: "replica", password: "replica" };
const SERVER = [
  ...["--user", REPLICA.user, "on", `>${REPLICA.password}`, "~*", "&*", "+@all"],
  ...["--masteruser", REPLICA.user, "--masterauth", REPLICA.password],
];
const SENTINEL = { downAfterMs: 500, failoverMs: 1000 };

/**
 * Nodes publish, and follow, while the primary under Sentinel is lost again and again: handed over, killed with entries
 * that no replica has, hung until another took over, or restarted empty. Whatever was accepted has to be in the log in the
 * end and delivered to all in its order, or be told as lost to everybody who had it or comes with a place behind it.
 */
export async function redisFailover(options: FailoverOptions): Promise<FailoverReport> {
  const system = await SentinelSystem.start({ server: SERVER, ...SENTINEL });
  const brokers: Broker[] = [];
  const run: Run = {
    random: seededRandom(options.seed),
    accepted: [],
    unseen: [],
    violations: [],
    repeated: 0,
    done: false,
  };
  try {
    for (let n = 0; n < options.nodes; n++) brokers.push(connectRedisBroker(system.url, QUICK));
    const channels = Array.from({ length: options.channels }, (_, n) => `room-${n + 1}`);
    const followers = channels.flatMap((channel) =>
      brokers.map((broker, n) => new Follower(new Witnessed(`subscriber-${n + 1}`, channel), broker)),
    );
    await Promise.all(followers.map((follower) => follower.subscribed()));
    const publishing = Promise.all(
      brokers.map((broker, n) => publishOn(broker, `node-${n + 1}`, channels, run)),
    );
    const moving = move(followers, brokers, run);
    // Told once the faults are over.
    for (const task of [publishing, moving]) task.catch(() => undefined);
    const faults = await breakInTurn(system, options.faults, run).finally(() => {
      run.done = true;
    });
    await publishing;
    const resumes = await moving;
    const [first] = brokers;
    if (!first) throw new RangeError("There is no node.");
    for (const channel of channels) await publish(first, channel, `${channel}-last`, run);
    const logs = new Map<string, FinalLog>();
    await until(async () => {
      for (const channel of channels) logs.set(channel, await readLog(first, channel));
      return followers.every(({ seen }) => seen.isAt(logs.get(seen.channel) as FinalLog));
    }, "every subscriber to be at the end");
    // What comes now is at the places of what was lost.
    for (let n = 0; n < 5; n++) await surely(() => first.publish(ALONE, new Uint8Array()));
    const alone = new Map([[ALONE, await readLog(first, ALONE)]]);
    const unseen = lostOf(run.unseen, alone);
    const witnesses = followers.map(({ seen }) => seen);
    const lost = lostOf(run.accepted, logs);
    return {
      seed: options.seed,
      accepted: run.accepted.length,
      lost: lost.length,
      unseen: unseen.length,
      delivered: witnesses.reduce((sum, { deliveries }) => sum + deliveries, 0),
      faults,
      repeated: run.repeated,
      resumes,
      resets: witnesses.reduce((sum, { resets }) => sum + resets, 0),
      violations: [
        ...run.violations,
        ...witnesses.flatMap((witness) => witness.violations(logs.get(witness.channel) as FinalLog)),
        ...commonViolations(witnesses, lost, logs),
        ...(await continued(first, [...lost, ...unseen])),
      ],
    };
  } catch (error) {
    throw new Error(`${(error as Error).message} (seed ${options.seed})`, { cause: error });
  } finally {
    for (const broker of brokers) await broker.close();
    await system[Symbol.asyncDispose]();
  }
}

/** One subscriber, which goes from node to node with its position. */
class Follower {
  readonly seen: Witnessed;
  #subscription: Promise<Subscription>;

  constructor(seen: Witnessed, broker: Broker) {
    this.seen = seen;
    this.#subscription = this.#join(broker);
  }

  async subscribed(): Promise<void> {
    await this.#subscription;
  }

  async moveTo(broker: Broker): Promise<void> {
    await (await this.#subscription).close();
    this.#subscription = this.#join(broker);
    await this.#subscription;
  }

  #join(broker: Broker): Promise<Subscription> {
    return surely(() => {
      const since = this.seen.position;
      return broker.subscribe(this.seen.channel, (event) => this.seen.take(event), since ? { since } : {});
    });
  }
}

async function publishOn(broker: Broker, name: string, channels: readonly string[], run: Run): Promise<void> {
  let last = 0;
  for (let n = 1; !run.done; n++) {
    const seq = await publish(broker, run.random.pick(channels), `${name}-${n}`, run);
    if (seq <= last) run.violations.push(`${name} was given the seq ${seq} after ${last}`);
    last = seq;
    await pause(run.random.below(10));
  }
}

async function publish(broker: Broker, channel: string, id: string, run: Run): Promise<number> {
  const data = new TextEncoder().encode(id);
  const again = () => run.repeated++;
  const { position, seq } = await surely(() => broker.publish(channel, data, { idempotencyKey: id }), again);
  run.accepted.push({ channel, id, position });
  return seq;
}

/** By a node that ends right after it. */
async function publishAlone(url: string, count: number, run: Run): Promise<void> {
  const broker = connectRedisBroker(url, QUICK);
  for (let n = 0; n < count; n++) {
    const id = `alone-${run.unseen.length + 1}`;
    const data = new TextEncoder().encode(id);
    const { position } = await surely(() => broker.publish(ALONE, data, { idempotencyKey: id }));
    run.unseen.push({ channel: ALONE, id, position });
  }
  await broker.close();
}

async function move(followers: readonly Follower[], brokers: readonly Broker[], run: Run): Promise<number> {
  let moves = 0;
  while (!run.done) {
    await run.random.pick(followers).moveTo(run.random.pick(brokers));
    moves++;
    await pause(20 + run.random.below(60));
  }
  return moves;
}

async function breakInTurn(
  system: SentinelSystem,
  count: number,
  run: Run,
): Promise<Record<FailoverFault, number>> {
  const done = Object.fromEntries(FAULTS.map((name) => [name, 0])) as Record<FailoverFault, number>;
  // Each at least once, if there are enough of them; then by lot.
  const order = Array.from({ length: count }, (_, n) => FAULTS[n] ?? run.random.pick(FAULTS));
  order.sort(() => run.random.next() - 0.5);
  for (const fault of order) {
    await accept(run, 10 + run.random.below(40));
    await breakOnce(fault, system, run);
    done[fault]++;
    await system.settled();
  }
  return done;
}

async function breakOnce(fault: FailoverFault, system: SentinelSystem, run: Run): Promise<void> {
  const { primary } = system;
  const another = () =>
    until(() => system.primary !== primary, "another primary").catch((error) => {
      throw new Error(`${error.message} after ${fault}: ${system.describe()}`);
    });
  switch (fault) {
    case "handover":
      return system.failOver();
    case "loss":
      primary.command("ACL", "SETUSER", REPLICA.user, "off");
      primary.command("CLIENT", "KILL", "TYPE", "replica");
      // None of this gets any further.
      await publishAlone(system.url, 1 + run.random.below(3), run);
      await accept(run, 1 + run.random.below(30));
      await primary.kill();
      await another();
      return primary.restart();
    case "hang":
      primary.suspend();
      await another();
      primary.resume();
      return;
    case "amnesia":
      return primary.restart();
  }
}

/** Waits until so many more publishes were accepted. */
async function accept(run: Run, count: number): Promise<void> {
  const before = run.accepted.length;
  await until(() => run.accepted.length >= before + count, "publishes to be accepted");
}

/** Where a lost entry's own place can be gone on from, as though nothing was lost. */
async function continued(broker: Broker, lost: readonly Acceptance[]): Promise<string[]> {
  const found: string[] = [];
  for (const { channel, id, position } of lost) {
    const { type } = await surely(() => broker.history(channel, { since: position }));
    if (type === "page") found.push(`${id} of ${channel} is lost, and its place is taken for a good one`);
  }
  return found;
}

async function readLog(broker: Broker, channel: string): Promise<FinalLog> {
  const entries: Entry[] = [];
  let since: Position | undefined;
  for (;;) {
    const page = await surely(() => broker.history(channel, since ? { since } : {}));
    if (page.type !== "page") throw new Error(`${channel} has another epoch while it is read`);
    entries.push(...page.entries);
    const last = entries.at(-1);
    if (!last || last.offset >= page.head.offset) return { epoch: page.head.epoch, entries };
    since = { epoch: page.head.epoch, offset: last.offset, tag: last.tag };
  }
}

/** Does it again as long as it is refused, or unanswered. */
async function surely<T>(act: () => Promise<T>, again: () => void = () => undefined): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof BrokerError) || !error.retryable) throw error;
      again();
      await pause(5);
    }
  }
}
