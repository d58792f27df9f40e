import type { Lease } from "@holdfast/broker";
import { expect, it } from "vitest";
import { PresenceRoll } from "./presence-roll.ts";

const lease = (key: string, user: string, info: unknown = null): Lease => ({
  group: "g",
  key,
  owner: "o",
  version: 1,
  value: new TextEncoder().encode(JSON.stringify([user, info])),
});

it("tells what changed while nobody could tell it, and not that everybody is there once more", () => {
  const roll = new PresenceRoll();
  const begun = roll.take({
    type: "leases",
    leases: [lease("c1", "ann"), lease("c2", "bob"), lease("c3", "cy")],
  });
  expect(begun).toEqual([
    { type: "here", members: [expect.anything(), expect.anything(), expect.anything()] },
  ]);
  const told = roll.take({
    type: "leases",
    leases: [lease("c4", "ann"), lease("c2", "bob", { away: true }), lease("c5", "dee")],
  });
  expect(told.map((event) => JSON.stringify(event))).toEqual(
    [
      { type: "joined", member: { connection: "c4", user: "ann", info: null }, isFirst: false },
      {
        type: "changed",
        member: { connection: "c2", user: "bob", info: { away: true } },
        before: { connection: "c2", user: "bob", info: null },
      },
      { type: "joined", member: { connection: "c5", user: "dee", info: null }, isFirst: true },
      { type: "left", member: { connection: "c1", user: "ann", info: null }, isLast: false },
      { type: "left", member: { connection: "c3", user: "cy", info: null }, isLast: true },
    ].map((event) => JSON.stringify(event)),
  );
  expect(roll.take({ type: "put", lease: lease("c4", "ann") })).toEqual([]);
  expect(roll.take({ type: "expired", key: "c9", version: 2 })).toEqual([]);
});
