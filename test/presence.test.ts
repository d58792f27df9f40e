import type { Broker } from "@holdfast/broker";
import { KeyedState, Presence, type PresenceEvent } from "@holdfast/hub";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { anyBroker, type RunningBroker, startNats, startRedis } from "./support/brokers.ts";

/** A broker on a busy machine takes its time. */
const SOON = { timeout: 10_000 };

describe.each([
  ["Redis", startRedis],
  ["NATS", () => startNats(4)],
] as const)("on %s", (_title, start) => {
  let running: RunningBroker;
  let brokers: Broker[];
  beforeAll(async () => {
    running = await start();
    brokers = [anyBroker(running.url), anyBroker(running.url)];
  });
  afterAll(async () => {
    for (const broker of brokers) await broker.close();
    await running.close();
  });

  test("who is in a channel is told on every node, and a node that ends without a word is forgotten", async () => {
    const [a, b] = brokers as [Broker, Broker];
    const dying = anyBroker(running.url);
    const there = new Presence(dying, { node: "dying", ttlMs: 900, graceMs: 100 });
    const here = new Presence(a, { node: "a", graceMs: 0 });
    const told: string[] = [];
    const watching = new Presence(b, { node: "b" });
    await watching.follow("room", (event: PresenceEvent) => {
      if (event.type === "joined" || event.type === "left")
        told.push(`${event.type} ${event.member.connection}`);
    });
    await here.enter("room", { connection: "c1", user: "ann", info: null });
    await there.enter("room", { connection: "c2", user: "bob", info: { n: 1 } });
    await expect.poll(() => told, SOON).toEqual(["joined c1", "joined c2"]);
    await dying.close();
    await expect.poll(() => told, { timeout: 10_000 }).toEqual(["joined c1", "joined c2", "left c2"]);
    await here.leave("room", "c1");
    await expect.poll(() => told.at(-1), SOON).toBe("left c1");
    for (const presence of [here, there, watching]) await presence.close();
  });

  test("a channel's values are the same on every node, also for one that comes after many changes", async () => {
    const [a, b] = brokers as [Broker, Broker];
    const options = { snapshotEvery: 20 };
    const states = [await KeyedState.open(a, "room", options), await KeyedState.open(b, "room", options)];
    await Promise.all(Array.from({ length: 90 }, (_, n) => states[n % 2]?.set(`k${n % 7}`, n)));
    await states[0]?.delete("k3");
    await states[1]?.set("end", true);
    for (const state of states) await expect.poll(() => state.get("end"), SOON).toBe(true);
    const late = await KeyedState.open(a, "room", options);
    states.push(late);
    const pairs = Object.fromEntries(late.pairs);
    expect(Object.keys(pairs).sort()).toEqual(["end", "k0", "k1", "k2", "k4", "k5", "k6"]);
    for (const state of states) expect(Object.fromEntries(state.pairs)).toEqual(pairs);
    for (const state of states) await state.close();
  });
});
