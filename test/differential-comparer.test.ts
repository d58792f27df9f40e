import { expect, test } from "vitest";
import { differential } from "../faults/differential/differential.ts";
import { type AdapterFault, startBus } from "./support/bus-fleet.ts";

/** Programs that are tried for a fault, from this seed on: the same ones each time, so that the outcome is, too. */
const [FIRST, TRIED] = [100, 6];

async function violationsOf(fault: AdapterFault, recovery: boolean): Promise<readonly string[]> {
  for (let seed = FIRST; seed < FIRST + TRIED; seed++) {
    const { violations } = await differential({
      seed,
      recovery,
      start: (options) => startBus(options, fault),
      // What is lost for good is found without a long wait; what is right isn't late by this much.
      patienceMs: fault === "none" ? 8000 : 300,
    });
    if (violations.length > 0) return violations;
  }
  return [];
}

test.each([false, true])(
  "servers that do as one would are found to differ in nothing (recovery: %s)",
  async (recovery) => {
    expect(await violationsOf("none", recovery)).toEqual([]);
  },
);

test.each<[AdapterFault, string]>([
  ["drop", "missing"],
  ["other-node-only", "missing"],
  ["double", "too much"],
  ["reorder", "order: "],
  ["ignore-except", "too much"],
  ["keep-left", "too much"],
  ["lose-answer", "operation has timed out"],
])("an adapter with the fault %s is found out", async (fault, trace) => {
  expect((await violationsOf(fault, false)).join("\n")).toContain(trace);
});

test("a recovery that leaves out a missed message is found out", async () => {
  expect((await violationsOf("forget-missed", true)).join("\n")).toContain("missing");
});
