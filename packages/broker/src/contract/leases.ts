import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Lease, LeaseEvent, LeaseWrite } from "../lease-table.ts";
import type { Broker } from "../port.ts";
import { seededRandom, testSeed } from "../testing.ts";
import { text, WAIT, type World } from "./world.ts";

/** What the table of leases promises. */
export function leasesContract(world: World): void {
  const ttlMs = world.limits.leaseTtlMs ?? 150;
  let a: Broker;
  let b: Broker;
  let group: string;
  let owners: [string, string];

  beforeEach(() => {
    ({ a, b, channel: group } = world);
    owners = [`${group}.one`, `${group}.two`];
  });

  function write(owner: string, key: string, value: string, rest: Partial<LeaseWrite> = {}): LeaseWrite {
    const when = { type: "own", version: 0 } as const;
    return { owner, ttlMs: 60_000, group, key, value: text(value), lingerMs: 0, when, ...rest };
  }

  async function expecting(version: number) {
    return { when: { type: "expect", version } as const };
  }

  async function listed(node: Broker): Promise<string[]> {
    return (await node.leases.list(group)).map(show);
  }

  describe("a lease", () => {
    test("is seen by all nodes, is written again by its owner, and goes when that removes it", async () => {
      const [one] = owners;
      const first = await a.leases.put(write(one, "k", "1"));
      expect(await b.leases.list(group)).toEqual([
        { group, key: "k", owner: one, version: first.type === "put" && first.version, value: text("1") },
      ]);
      const second = await b.leases.put(write(one, "k", "2"));
      if (first.type !== "put" || second.type !== "put") throw new Error("Both are its owner's.");
      expect(second.version).toBeGreaterThan(first.version);
      await a.leases.put(write(one, "a", "3"));
      expect(await listed(a)).toEqual([`a ${one} 3`, `k ${one} 2`]);
      expect(await b.leases.renew(one, 60_000)).toBe(2);
      expect(await a.leases.remove(one, group, "k")).toBe(true);
      expect(await a.leases.remove(one, group, "k")).toBe(false);
      expect(await listed(b)).toEqual([`a ${one} 3`]);
    });

    test("carries any bytes, up to its bound", async () => {
      const value = Uint8Array.from({ length: 64 * 1024 }, (_, n) => n & 255);
      await a.leases.put({ ...write(owners[0], "k", ""), value });
      const [lease] = await b.leases.list(group);
      expect(Buffer.compare(lease?.value ?? text(""), value)).toBe(0);
    });

    test("can't be written or removed by another owner, who is told what is there", async () => {
      const [one, two] = owners;
      await a.leases.put(write(one, "k", "1"));
      const refused = await b.leases.put(write(two, "k", "2"));
      expect(refused.type === "refused" && refused.lease && show(refused.lease)).toBe(`k ${one} 1`);
      expect(await b.leases.remove(two, group, "k")).toBe(false);
      expect(await listed(a)).toEqual([`k ${one} 1`]);
    });

    test("is taken over by one who names its version, and by one only", async () => {
      const [one] = owners;
      const put = await a.leases.put(write(one, "k", "1"));
      if (put.type !== "put") throw new Error("There was none.");
      const takers = Array.from({ length: 10 }, (_, n) => `${group}.taker-${n}`);
      const rest = await expecting(put.version);
      const taken = await Promise.all(
        takers.map((taker, n) => (n % 2 ? a : b).leases.put(write(taker, "k", taker, rest))),
      );
      expect(taken.filter(({ type }) => type === "put")).toHaveLength(1);
      const winner = taken.findIndex(({ type }) => type === "put");
      expect(taken[winner]).toMatchObject({ takenFrom: one });
      expect(await listed(b)).toEqual([`k ${takers[winner]} ${takers[winner]}`]);
      expect(await a.leases.renew(one, 60_000)).toBe(0);
    });

    test("that was taken can't be written by the old owner, also not when it is gone again", async () => {
      const [one, two] = owners;
      const put = await a.leases.put(write(one, "k", "1"));
      if (put.type !== "put") throw new Error("There was none.");
      await b.leases.put(write(two, "k", "2", await expecting(put.version)));
      const had = (type: "own" | "restore") =>
        write(one, "k", "old", { when: { type, version: put.version } });
      for (const type of ["own", "restore"] as const)
        expect(await a.leases.put(had(type))).toMatchObject({ type: "refused", lease: { owner: two } });
      await b.leases.remove(two, group, "k");
      for (const type of ["own", "restore"] as const)
        expect(await a.leases.put(had(type))).toEqual({ type: "refused", lease: undefined });
      // Whoever knows that there is none may begin it anew.
      const anew = await a.leases.put(write(one, "k", "new", await expecting(0)));
      expect(anew.type === "put" && anew.version > put.version).toBe(true);
    });

    test("is made by one only of those who expect none", async () => {
      const rest = await expecting(0);
      const puts = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          (n % 2 ? a : b).leases.put(write(`${group}.${n}`, "k", "x", rest)),
        ),
      );
      expect(puts.filter(({ type }) => type === "put")).toHaveLength(1);
    });

    test("that is restored while it is there keeps its version", async () => {
      const [one] = owners;
      const put = await a.leases.put(write(one, "k", "1"));
      const version = put.type === "put" ? put.version : 0;
      const when = { type: "restore", version } as const;
      expect(await a.leases.put(write(one, "k", "1", { when }))).toEqual({ type: "put", version });
    });

    test.each([
      ["group", { group: "no name" }],
      ["key", { key: "" }],
      ["owner", { owner: "x".repeat(151) }],
      ["value", { value: new Uint8Array(64 * 1024 + 1) }],
      ["ttlMs", { ttlMs: 9 }],
      ["lingerMs", { lingerMs: 24 * 3_600_000 + 1 }],
      ["version", { when: { type: "expect", version: -1 } as const }],
    ])("is refused with a %s that is none", async (_name, rest) => {
      const refused = { code: "LEASE_INVALID", retryable: false };
      await expect(a.leases.put(write(owners[0], "k", "x", rest))).rejects.toMatchObject(refused);
    });
  });

  describe("time", () => {
    test("ends the leases of an owner that does not renew, those that linger later", async () => {
      const [one, two] = owners;
      const seen = followed();
      await b.leases.follow(group, seen.listener);
      await a.leases.put(write(one, "k", "1", { ttlMs }));
      const lingering = await a.leases.put(write(one, "session", "2", { ttlMs, lingerMs: 60_000 }));
      await a.leases.put(write(two, "other", "3"));
      await vi.waitFor(() => expect(seen.keys()).toEqual(["other", "session"]), WAIT);
      expect(await listed(b)).toEqual([`other ${two} 3`, `session ${one} 2`]);
      expect(seen.events.at(-1)).toMatchObject({ type: "expired", key: "k" });
      const version = lingering.type === "put" ? lingering.version : 0;
      const taken = await b.leases.put(write(two, "session", "4", await expecting(version)));
      expect(taken).toMatchObject({ type: "put", takenFrom: one });
      expect(await a.leases.renew(one, ttlMs)).toBe(0);
      expect(await listed(a)).toEqual([`other ${two} 3`, `session ${two} 4`]);
    });

    test("ends what lingers, too", async () => {
      const seen = followed();
      await a.leases.follow(group, seen.listener);
      await a.leases.put(write(owners[0], "session", "1", { ttlMs, lingerMs: ttlMs }));
      await vi.waitFor(
        () => expect(seen.events.at(-1)).toMatchObject({ type: "expired", key: "session" }),
        WAIT,
      );
      expect(await listed(b)).toEqual([]);
      expect((await b.leases.put(write(owners[1], "session", "2"))).type).toBe("put");
    });

    test("is given anew to all leases of an owner by one renewal", async () => {
      const [one] = owners;
      // Enough for four round trips, however busy the machine is.
      const firstMs = Math.max(ttlMs, 500);
      for (const key of ["x", "y", "z"]) await a.leases.put(write(one, key, key, { ttlMs: firstMs }));
      await a.leases.renew(one, 3_600_000);
      const probe = followed();
      await b.leases.follow(`${group}.probe`, probe.listener);
      await b.leases.put(write(owners[1], "p", "p", { group: `${group}.probe`, ttlMs: 2 * firstMs }));
      await vi.waitFor(() => expect(probe.events.at(-1)).toMatchObject({ type: "expired" }), WAIT);
      expect(await listed(b)).toHaveLength(3);
    });

    test("of an owner that ends is over at once, but for what lingers", async () => {
      const [one] = owners;
      const seen = followed();
      await b.leases.follow(group, seen.listener);
      await a.leases.put(write(one, "k", "1"));
      await a.leases.put(write(one, "session", "2", { lingerMs: 60_000 }));
      await a.leases.release(one);
      expect(await listed(a)).toEqual([`session ${one} 2`]);
      await vi.waitFor(() => expect(seen.events.at(-1)).toMatchObject({ type: "removed", key: "k" }), WAIT);
      expect(await a.leases.renew(one, 60_000)).toBe(0);
    });
  });

  describe("a follower of leases", () => {
    test("is told all that there are, before it resolves, and then each change in order", async () => {
      const [one] = owners;
      await a.leases.put(write(one, "k", "1"));
      const seen = followed();
      const subscription = await b.leases.follow(group, seen.listener);
      expect(seen.events).toMatchObject([{ type: "leases", leases: [{ key: "k", owner: one }] }]);
      await a.leases.put(write(one, "l", "2"));
      await a.leases.put(write(one, "k", "3"));
      await a.leases.remove(one, group, "l");
      await vi.waitFor(() => expect(seen.events).toHaveLength(4), WAIT);
      expect(seen.events.slice(1)).toMatchObject([
        { type: "put", lease: { key: "l", owner: one, value: text("2") } },
        { type: "put", lease: { key: "k", value: text("3") } },
        { type: "removed", key: "l" },
      ]);
      await subscription.close();
      const open = followed();
      await b.leases.follow(group, open.listener);
      await a.leases.put(write(one, "m", "4"));
      await vi.waitFor(() => expect(open.events).toHaveLength(2), WAIT);
      expect(seen.events).toHaveLength(4);
    });

    test("hears of its own group alone, and harms nobody when it throws", async () => {
      const warning = vi.spyOn(process, "emitWarning").mockImplementation(() => undefined);
      const seen = followed();
      await b.leases.follow(group, () => {
        throw new Error("This listener always throws.");
      });
      await b.leases.follow(group, seen.listener);
      await a.leases.put(write(owners[0], "k", "x", { group: `${group}x` }));
      await a.leases.put(write(owners[0], "k", "y"));
      await vi.waitFor(() => expect(seen.keys()).toEqual(["k"]), WAIT);
      expect(seen.events).toHaveLength(2);
      warning.mockRestore();
    });

    test("has what is listed in the end, while owners write, take, remove and end at random", async () => {
      const seed = testSeed();
      const random = seededRandom(seed);
      const [near, far] = [followed(), followed()];
      await a.leases.follow(group, near.listener);
      await b.leases.follow(group, far.listener);
      const names = Array.from({ length: 5 }, (_, n) => `${group}.${n}`);
      const step = async () => {
        const [node, owner, key] = [random.pick([a, b]), random.pick(names), `k${random.below(8)}`];
        const die = random.below(10);
        if (die < 5) await node.leases.put(write(owner, key, `${random.below(1000)}`));
        else if (die < 7) {
          const there = (await node.leases.list(group)).find((lease) => lease.key === key);
          await node.leases.put(write(owner, key, "taken", await expecting(there?.version ?? 0)));
        } else if (die < 9) await node.leases.remove(owner, group, key);
        else await node.leases.release(owner);
      };
      for (let round = 0; round < 40; round++) await Promise.all(Array.from({ length: 5 }, step));
      const expected = await listed(a);
      expect(await listed(b), `SEED=${seed}`).toEqual(expected);
      for (const { shown } of [near, far])
        await vi.waitFor(() => expect(shown(), `SEED=${seed}`).toEqual(expected), WAIT);
    });
  });
}

interface Followed {
  readonly events: LeaseEvent[];
  readonly listener: (event: LeaseEvent) => void;
  /** The leases as the events tell them. */
  shown(): string[];
  keys(): string[];
}

function followed(): Followed {
  const events: LeaseEvent[] = [];
  const leases = new Map<string, Lease>();
  const inOrder = () => [...leases.values()].sort((x, y) => (x.key < y.key ? -1 : 1));
  return {
    events,
    listener: (event) => {
      events.push(event);
      if (event.type === "leases") {
        leases.clear();
        for (const lease of event.leases) leases.set(lease.key, lease);
      } else if (event.type === "put") leases.set(event.lease.key, event.lease);
      else leases.delete(event.key);
    },
    shown: () => inOrder().map(show),
    keys: () => inOrder().map(({ key }) => key),
  };
}

function show({ key, owner, value }: Lease): string {
  return `${key} ${owner} ${new TextDecoder().decode(value)}`;
}
