import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { differAll } from "./differential.ts";

test("Node's parser finds in what was passed on the messages that were let through, whatever came in", () => {
  const tally = differAll(testSeed(), 100_000);
  expect(tally.inputs).toBe(100_000);
  // Neither side of the test may be idle: much is passed, much is refused.
  for (const count of [tally.passed, tally.refused, tally.confirmed]) expect(count).toBeGreaterThan(20_000);
}, 120_000);
