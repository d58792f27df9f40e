import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { survival } from "../faults/survival.ts";

const seed = testSeed();

test.each([
  ["killed", "SIGKILL"],
  ["told to end", "SIGTERM"],
] as const)(
  `every client has every message once and in one order while pods are %s in turn (SEED=${seed})`,
  async (_how, signal) => {
    const report = await survival({ seed, clients: 20, channels: 3, messages: 1000, signal });
    console.log(report);
    expect(report.violations).toEqual([]);
    expect(report.published).toBe(1003);
    expect(report.refused).toBe(0);
    // Without these the run would prove nothing.
    expect(report.kills).toBeGreaterThanOrEqual(4);
    expect(report.resumes).toBeGreaterThan(20);
    expect(report.recovered).toBeGreaterThan(0);
  },
);
