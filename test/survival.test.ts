import { expect, test } from "vitest";
import { survival } from "../faults/survival.ts";

const seed = Number(process.env.SEED) || (Date.now() % 1_000_000) + 1;

test(`every client has every message once and in one order while pods are killed in turn (SEED=${seed})`, async () => {
  const report = await survival({ seed, clients: 20, channels: 3, messages: 1000 });
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.published).toBe(1003);
  expect(report.refused).toBe(0);
  // Without these the run would prove nothing.
  expect(report.kills).toBeGreaterThanOrEqual(4);
  expect(report.resumes).toBeGreaterThan(20);
  expect(report.recovered).toBeGreaterThan(0);
});
