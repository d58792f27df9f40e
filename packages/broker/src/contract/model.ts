import { expect, vi } from "vitest";
import type { Broker, Entry, Position, Subscription } from "../port.ts";
import { type Random, seededRandom, testSeed } from "../testing.ts";

interface Reader {
  readonly channel: string;
  readonly head: Position;
  readonly received: Entry[];
  readonly subscription: Subscription;
}

const STEPS = 400;
const WAIT = { timeout: 10_000, interval: 5 };

/**
 * Publishers on both nodes, subscribers that join and leave, and readers of history, at random; at the end each
 * subscriber has exactly the log's entries from its head to the point where it left. Its seed is printed,
 * and `SEED` replays it.
 */
export async function modelCheck(a: Broker, b: Broker): Promise<void> {
  const seed = testSeed();
  try {
    await new ModelRun([a, b], seededRandom(seed), `model.${seed}`).run();
  } catch (cause) {
    throw new Error(`The model disagrees; replay with SEED=${seed}.`, { cause });
  }
}

class ModelRun {
  readonly #nodes: readonly [Broker, Broker];
  readonly #random: Random;
  readonly #channels: readonly string[];
  readonly #accepted = new Map<string, string>();
  readonly #pending = new Set<Promise<void>>();
  readonly #left: Reader[] = [];
  #reading: Reader[] = [];
  #published = 0;

  constructor(nodes: readonly [Broker, Broker], random: Random, prefix: string) {
    this.#nodes = nodes;
    this.#random = random;
    this.#channels = ["x", "y", "z"].map((letter) => `${prefix}.${letter}`);
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) await this.#step();
    await Promise.all(this.#pending);
    for (const channel of this.#channels) await this.#compare(channel);
    for (const { subscription } of this.#reading) await subscription.close();
  }

  async #step(): Promise<void> {
    const channel = this.#random.pick(this.#channels);
    const node = this.#random.pick(this.#nodes);
    const die = this.#random.below(100);
    if (die < 60) this.#publish(node, channel);
    else if (die < 70) await Promise.all(this.#pending);
    else if (die < 82) await this.#join(node, channel);
    else if (die < 90) await this.#leave();
    else await this.#read(node, channel);
  }

  #publish(node: Broker, channel: string): void {
    const content = `${this.#published++}`;
    const key = this.#random.below(4) === 0 ? { idempotencyKey: `key-${content}` } : {};
    const data = new TextEncoder().encode(content);
    const attempts = "idempotencyKey" in key ? 2 : 1;
    for (let n = 0; n < attempts; n++) {
      const publishing = node.publish(channel, data, key).then(({ position }) => {
        const place = `${channel} ${position.offset} ${position.tag}`;
        expect(this.#accepted.get(place) ?? content).toBe(content);
        this.#accepted.set(place, content);
        this.#pending.delete(publishing);
      });
      this.#pending.add(publishing);
    }
  }

  async #join(node: Broker, channel: string): Promise<void> {
    const received: Entry[] = [];
    const heads: Position[] = [];
    const subscription = await node.subscribe(channel, (event) => {
      if (event.type === "entry") received.push(event.entry);
      else if (event.type === "subscribed") heads.push(event.position);
      else throw new Error(`A ${event.type} event has no place here.`);
    });
    const [head] = heads;
    if (!head || heads.length > 1)
      throw new Error("A subscription begins with its head and is not reset here.");
    this.#reading.push({ channel, head, received, subscription });
  }

  async #leave(): Promise<void> {
    if (this.#reading.length === 0) return;
    const reader = this.#random.pick(this.#reading);
    this.#reading = this.#reading.filter((other) => other !== reader);
    await reader.subscription.close();
    this.#left.push({ ...reader, received: [...reader.received] });
  }

  async #read(node: Broker, channel: string): Promise<void> {
    const log = await this.#log(node, channel);
    const from = this.#random.pick([undefined, ...log]);
    const { head } = await node.history(channel, { limit: 0 });
    const since = from ? { epoch: head.epoch, offset: from.offset, tag: from.tag } : undefined;
    const history = await node.history(channel, { limit: 7, ...(since && { since }) });
    if (history.type !== "page") throw new Error(`A position of the log was refused: ${history.reason}.`);
    const expected = log.slice(from?.offset ?? 0, (from?.offset ?? 0) + history.entries.length);
    expect(history.entries.slice(0, expected.length).map(mark)).toEqual(expected.map(mark));
  }

  async #compare(channel: string): Promise<void> {
    const log = (await this.#log(this.#nodes[0], channel)).map(mark);
    expect((await this.#log(this.#nodes[1], channel)).map(mark)).toEqual(log);
    const accepted = [...this.#accepted].filter(([place]) => place.startsWith(`${channel} `));
    expect(
      accepted.map(([place, content]) => `${place.slice(channel.length + 1)} ${content}`).sort(),
    ).toEqual([...log].sort());
    for (const reader of this.#reading.filter((one) => one.channel === channel))
      await vi.waitFor(() => expect(reader.received.map(mark)).toEqual(log.slice(reader.head.offset)), WAIT);
    for (const { received, head } of this.#left.filter((one) => one.channel === channel))
      expect(received.map(mark)).toEqual(log.slice(head.offset, head.offset + received.length));
  }

  async #log(node: Broker, channel: string): Promise<Entry[]> {
    const history = await node.history(channel, {});
    if (history.type !== "page") throw new Error("A history without a position is a page.");
    expect(history.entries.map(({ offset }) => offset)).toEqual(history.entries.map((_, n) => n + 1));
    return [...history.entries];
  }
}

function mark({ offset, tag, data }: Entry): string {
  return `${offset} ${tag} ${new TextDecoder().decode(data)}`;
}
