import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { natsClusterFaults, natsFaults } from "../faults/nats.ts";

const seed = testSeed();

test(`every subscriber has every entry once and in one order while a NATS server and its connections are broken (SEED=${seed})`, async () => {
  const report = await natsFaults({ seed, nodes: 3, channels: 3, messages: 300, faults: 7 });
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.resets).toBe(0);
  expect(report.published).toBe(303);
  for (const count of Object.values(report.faults)) expect(count).toBeGreaterThan(0);
  expect(report.resumes).toBeGreaterThan(0);
});

test(`and while servers of a cluster are killed, the leader among them, or one is cut off from the others (SEED=${seed})`, async () => {
  const report = await natsClusterFaults({ seed, nodes: 3, channels: 3, messages: 300, faults: 7 });
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.resets).toBe(0);
  expect(report.published).toBe(303);
  for (const count of Object.values(report.faults)) expect(count).toBeGreaterThan(0);
  expect(report.resumes).toBeGreaterThan(0);
});
