import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BrokerError } from "../errors.ts";
import { LeaseOwner, type LeaseOwnerOptions } from "../lease-owner.ts";
import type { Broker } from "../port.ts";
import { text, WAIT, type World } from "./world.ts";

/** That owners of leases fare on this engine as `LeaseOwner` says. */
export function leaseOwnerContract(world: World): void {
  const ttlMs = world.limits.leaseTtlMs ?? 150;

  describe("an owner of leases", () => {
    let a: Broker;
    let b: Broker;
    let group: string;
    let owners: LeaseOwner[];

    beforeEach(() => {
      ({ a, b, channel: group } = world);
      owners = [];
    });

    afterEach(async () => {
      vi.restoreAllMocks();
      await Promise.all(owners.map((owner) => owner.close()));
    });

    function own(broker: Broker, options: Partial<LeaseOwnerOptions> = {}): LeaseOwner {
      const owner = new LeaseOwner(broker, { name: "node", ttlMs, ...options });
      owners.push(owner);
      return owner;
    }

    async function keys(node: Broker): Promise<string[]> {
      return (await node.leases.list(group)).map(({ key }) => key);
    }

    /** Waits for so many renewals of an owner on this node. */
    async function renewals(node: Broker, count: number): Promise<number> {
      const renew = vi.spyOn(node.leases, "renew");
      await vi.waitFor(() => expect(renew.mock.calls.length).toBeGreaterThanOrEqual(count), WAIT);
      return renew.mock.calls.length;
    }

    test("keeps all of them with one renewal in a third of their time", async () => {
      // In time even where this process is held up for a while.
      const keptMs = Math.max(ttlMs, 450);
      const owner = own(a, { ttlMs: keptMs });
      await Promise.all(Array.from({ length: 50 }, (_, n) => owner.put(group, `k${n}`, text("x"))));
      const started = performance.now();
      // Nine renewals are three times their time to live.
      const renewed = await renewals(a, 9);
      expect(renewed).toBeLessThanOrEqual((performance.now() - started) / Math.floor(keptMs / 3) + 2);
      expect(await keys(b)).toHaveLength(50);
    });

    test("gives them up when it is closed, and can't write any more", async () => {
      const owner = own(a);
      await owner.put(group, "k", text("x"));
      await owner.put(group, "session", text("x"), { lingerMs: 60_000 });
      await owner.close();
      await owner.close();
      expect(await keys(b)).toEqual(["session"]);
      await expect(owner.put(group, "k", text("x"))).rejects.toMatchObject({ code: "BROKER_CLOSED" });
    });

    test("that was only slow has them back", async () => {
      const owner = own(a);
      await Promise.all(["x", "y"].map((key) => owner.put(group, key, text(key))));
      const slow = vi.spyOn(a.leases, "renew").mockRejectedValue(new BrokerError("BROKER_UNAVAILABLE"));
      await vi.waitFor(async () => expect(await keys(b)).toEqual([]), WAIT);
      slow.mockRestore();
      await vi.waitFor(async () => expect(await keys(b)).toEqual(["x", "y"]), WAIT);
      await owner.put(group, "x", text("again"));
      expect(owner.size).toBe(2);
    });

    test("that was slow is told what others have now, and has the rest back", async () => {
      const lost: string[] = [];
      const owner = own(a, { onLost: ({ key }, lease) => lost.push(`${key} ${lease?.owner}`) });
      await Promise.all(["x", "y"].map((key) => owner.put(group, key, text(key))));
      const slow = vi.spyOn(a.leases, "renew").mockRejectedValue(new BrokerError("BROKER_UNAVAILABLE"));
      await vi.waitFor(async () => expect(await keys(b)).toEqual([]), WAIT);
      const other = own(b, { ttlMs: 60_000 });
      // From its first lease on it is as quick as the slow one's next renewal.
      await other.put(`${group}2`, "first", text("mine"));
      if (a === b) slow.mockRestore();
      await other.put(group, "x", text("mine"));
      slow.mockRestore();
      await vi.waitFor(() => expect(lost).toEqual([`x ${other.id}`]), WAIT);
      await vi.waitFor(async () => expect(await keys(b)).toEqual(["x", "y"]), WAIT);
      expect(await owner.put(group, "x", text("no"))).toMatchObject({ type: "refused" });
      expect(owner.size).toBe(1);
    });

    test("is told when a lease is taken over, and can no longer write it", async () => {
      const lost: string[] = [];
      // Its next renewal is far away: it is told at once all the same, where the engine can.
      const soon = world.abilities.volatile === true ? 600_000 : ttlMs;
      const owner = own(a, { ttlMs: soon, onLost: ({ key }, lease) => lost.push(`${key} ${lease?.owner}`) });
      const put = await owner.put(group, "session", text("1"));
      const version = put.type === "put" ? put.version : 0;
      await vi.waitFor(async () => {
        const taker = own(b, { ttlMs: 60_000 });
        const expect_ = (await b.leases.list(group))[0]?.version ?? version;
        if (lost.length === 0) await taker.put(group, "session", text("2"), { expect: expect_ });
        expect(lost.length).toBeGreaterThan(0);
      }, WAIT);
      expect(await owner.put(group, "session", text("3"))).toMatchObject({ type: "refused" });
      expect(await owner.remove(group, "session")).toBe(false);
      const [lease] = await a.leases.list(group);
      expect(lease?.value).toEqual(text("2"));
    });

    test("undoes with its next renewal what a rejected write may have done", async () => {
      const owner = own(a);
      await owner.put(group, "kept", text("1"));
      const { put } = a.leases;
      vi.spyOn(a.leases, "put").mockImplementationOnce(async (write) => {
        await put.call(a.leases, write);
        throw new BrokerError("BROKER_UNAVAILABLE", "The answer was lost.");
      });
      await expect(owner.put(group, "doubtful", text("x"))).rejects.toMatchObject({
        code: "BROKER_UNAVAILABLE",
      });
      await vi.waitFor(async () => expect(await keys(b)).toEqual(["kept"]), WAIT);
    });

    test("is another one each time, also under one name", async () => {
      const [one, other] = [own(a, { ttlMs: 60_000 }), own(a, { ttlMs: 60_000 })];
      expect(one.id).not.toBe(other.id);
      await one.put(group, "k", text("1"));
      expect(await other.put(group, "k", text("2"))).toMatchObject({
        type: "refused",
        lease: { owner: one.id },
      });
    });

    test.each([{ name: "no name" }, { name: "" }, { ttlMs: 1 }])("is refused with %j", (options) => {
      expect(() => own(a, options)).toThrow(expect.objectContaining({ code: "LEASE_INVALID" }));
    });
  });
}
