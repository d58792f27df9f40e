import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { brokerFaults } from "../faults/broker.ts";
import { RedisHost, ServedHost } from "../faults/broker-host.ts";

const seed = testSeed();

test.each([
  ["the served broker", ServedHost.start],
  ["Redis", RedisHost.start],
])(
  `every subscriber has every entry once and in one order while %s and its connections are broken (SEED=${seed})`,
  async (_name, start) => {
    const report = await brokerFaults({ start, seed, nodes: 3, channels: 3, messages: 300, faults: 9 });
    console.log(report);
    expect(report.violations).toEqual([]);
    expect(report.resets).toBe(0);
    expect(report.published).toBe(303);
    // Without these the run would prove nothing.
    for (const count of Object.values(report.faults)) expect(count).toBeGreaterThan(0);
    expect(report.resumes).toBeGreaterThan(0);
  },
);
