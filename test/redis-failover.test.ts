import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { redisFailover } from "../faults/redis-failover.ts";

const seed = testSeed();

test(`what a primary takes along is told to everybody who had it or comes with its place; the rest is delivered to all in one order (SEED=${seed})`, async () => {
  const report = await redisFailover({ seed, nodes: 3, channels: 3, faults: 5 });
  console.log(report);
  expect(report.violations).toEqual([]);
  // Without these the run would prove nothing.
  for (const count of Object.values(report.faults)) expect(count).toBeGreaterThan(0);
  expect(report.lost).toBeGreaterThan(0);
  expect(report.unseen).toBeGreaterThan(0);
  expect(report.resets).toBeGreaterThan(0);
  expect(report.resumes).toBeGreaterThan(0);
  expect(report.accepted).toBeGreaterThan(report.lost);
});
