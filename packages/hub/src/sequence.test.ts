import { openEmbeddedBroker } from "@holdfast/broker";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type HubCounters, zeroCounters } from "./counters.ts";
import type { HubEvent } from "./events.ts";
import { Sequence, type SequenceBounds, type Sequenced, type SequencedEvent } from "./sequence.ts";

const BOUNDS: SequenceBounds = { maxHeldEntries: 100, maxHeldBytes: 100_000, maxHeldMs: 60_000 };
const { abilities } = openEmbeddedBroker();

let told: string[];
let counters: HubCounters;
let events: HubEvent[];
let sequence: Sequence;

beforeEach(() => {
  vi.useFakeTimers();
  told = [];
  events = [];
  counters = zeroCounters();
  sequence = make();
});
afterEach(() => {
  sequence.end();
  vi.useRealTimers();
});

function make(bounds: Partial<SequenceBounds> = {}, oneSequence: true | string = true): Sequence {
  return new Sequence({ ...abilities, oneSequence }, { ...BOUNDS, ...bounds }, counters, (event) =>
    events.push(event),
  );
}

class Channel implements Sequenced {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  handOut(event: SequencedEvent): void {
    if (event.type === "entry") told.push(`${this.name}${event.entry.seq}`);
    else told.push(`${this.name} ${event.type === "reset" ? event.reason : "volatile"}`);
  }

  entry(...seqs: number[]): void {
    for (const seq of seqs)
      sequence.take(this, {
        type: "entry",
        entry: { offset: seq, seq, tag: "t", time: 0, data: new Uint8Array(10) },
      });
  }

  reset(reason: "trimmed" | "epoch"): void {
    sequence.take(this, { type: "reset", head: { epoch: "e", offset: 0, tag: "" }, reason });
  }

  volatile(): void {
    sequence.take(this, { type: "volatile", data: new Uint8Array(1) });
  }
}

const [a, b, c] = [new Channel("a"), new Channel("b"), new Channel("c")];

it("hands out at once while no channel is behind", () => {
  a.entry(1);
  b.entry(2);
  b.volatile();
  expect(told).toEqual(["a1", "b2", "b volatile"]);
  expect(sequence.seq).toBe(2);
  expect(sequence.inOrder).toBe(true);
});

it("holds what comes while a channel is behind, and hands it out by seq once none is", () => {
  a.entry(1);
  sequence.behind(a);
  sequence.behind(c);
  b.entry(4);
  b.volatile();
  c.entry(3, 5);
  a.entry(2);
  sequence.abreast(c);
  b.entry(7);
  expect(told).toEqual(["a1"]);
  expect(sequence.seq).toBe(1);
  a.entry(6);
  sequence.abreast(a);
  expect(told).toEqual(["a1", "a2", "c3", "b4", "b volatile", "c5", "a6", "b7"]);
  expect(sequence.seq).toBe(7);
  expect(counters).toMatchObject({ held: 7, late: 0, gaveWay: 0 });
  a.entry(8);
  expect(told.at(-1)).toBe("a8");
});

it("keeps a reset where it came on its own channel", () => {
  sequence.behind(a);
  a.entry(5);
  b.entry(2);
  a.reset("trimmed");
  b.entry(6);
  a.entry(9);
  sequence.abreast(a);
  expect(told).toEqual(["b2", "a5", "a trimmed", "b6", "a9"]);
});

it("begins to count anew with a log that was begun anew", () => {
  a.entry(50);
  for (const channel of [a, b]) sequence.behind(channel);
  a.entry(51);
  b.reset("epoch");
  b.entry(2);
  a.reset("epoch");
  a.entry(1, 3);
  sequence.abreast(a);
  sequence.abreast(b);
  expect(told).toEqual(["a50", "a51", "b epoch", "a epoch", "a1", "b2", "a3"]);
  expect(sequence.seq).toBe(3);
  expect(counters.late).toBe(0);
  a.reset("epoch");
  expect([sequence.seq, sequence.inOrder]).toEqual([0, false]);
  a.entry(1);
  expect([sequence.seq, sequence.inOrder]).toEqual([1, true]);
});

it("hands out an entry that comes late without warning, and stays where it was", () => {
  a.entry(5);
  b.entry(3);
  expect(told).toEqual(["a5", "b3"]);
  expect(sequence.seq).toBe(5);
  expect(counters.late).toBe(1);
});

it("goes on when a channel that is behind is followed no more", () => {
  sequence.behind(a);
  b.entry(1);
  expect(told).toEqual([]);
  sequence.abreast(a);
  expect(told).toEqual(["b1"]);
});

it("keeps what comes while it hands out for after that", () => {
  const nosy: Sequenced = {
    handOut: () => {
      told.push("nosy");
      a.entry(3);
    },
  };
  sequence.behind(a);
  sequence.take(nosy, { type: "volatile", data: new Uint8Array() });
  b.entry(2);
  sequence.abreast(a);
  expect(told).toEqual(["nosy", "b2", "a3"]);
});

it("hands out the rest when an outlet throws, and passes on what it threw", () => {
  sequence.behind(a);
  sequence.take(
    { handOut: () => expect.unreachable("thrown") },
    { type: "volatile", data: new Uint8Array() },
  );
  b.entry(2);
  expect(() => sequence.abreast(a)).toThrow("thrown");
  expect(told).toEqual(["b2"]);
});

describe("at a bound", () => {
  it.each<[string, Partial<SequenceBounds>, () => void]>([
    ["entries", { maxHeldEntries: 2 }, () => {}],
    ["bytes", { maxHeldBytes: 600 }, () => {}],
    ["time", { maxHeldMs: 1_000 }, () => vi.advanceTimersByTime(1_000)],
  ])("of %s order gives way, until no channel is behind", (bound, bounds, wait) => {
    sequence = make(bounds);
    sequence.behind(a);
    b.entry(2);
    c.entry(4);
    b.entry(3);
    wait();
    expect(told).toEqual(["b2", "b3", "c4"]);
    expect(events).toEqual([{ type: "out-of-order", bound, held: 3, behind: 1 }]);
    expect([sequence.seq, sequence.inOrder]).toEqual([4, false]);
    a.entry(1);
    expect(told.at(-1)).toBe("a1");
    expect(counters).toMatchObject({ gaveWay: 1, late: 1 });
    sequence.abreast(a);
    expect([sequence.seq, sequence.inOrder]).toEqual([4, true]);
    expect(events.at(-1)).toEqual({ type: "in-order" });
  });

  it("what nothing can precede any more goes out first, in order", () => {
    sequence = make({ maxHeldEntries: 10 });
    sequence.behind(a);
    b.entry(105);
    for (let seq = 1; seq <= 100; seq++) a.entry(seq);
    expect(told.length).toBeGreaterThan(80);
    expect(counters.gaveWay).toBe(0);
    sequence.abreast(a);
    expect(told).toEqual([...Array.from({ length: 100 }, (_, n) => `a${n + 1}`), "b105"]);
    expect(sequence.inOrder).toBe(true);
  });
});

it("orders nothing on a broker with several sequences", () => {
  sequence = make({}, "Each partition counts for itself.");
  sequence.behind(a);
  b.entry(5);
  c.entry(3);
  expect(told).toEqual(["b5", "c3"]);
  expect([sequence.seq, sequence.inOrder]).toEqual([5, false]);
  expect(counters.late).toBe(0);
});
