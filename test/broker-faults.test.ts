import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { brokerFaults } from "../faults/broker.ts";
import { RedisHost, ServedHost } from "../faults/broker-host.ts";

const seed = testSeed();

test.each([
  ["the served broker", ServedHost.start, 600, 7],
  ["Redis", RedisHost.start, 600, 9],
])(
  `every subscriber has every entry once and in one order while %s and its connections are broken (SEED=${seed})`,
  async (_name, start, messages, faults) => {
    const report = await brokerFaults({ start, seed, nodes: 3, channels: 3, messages, faults });
    console.log(report);
    expect(report.violations).toEqual([]);
    expect(report.resets).toBe(0);
    expect(report.published).toBe(messages + 3);
    // Without these the run would prove nothing.
    for (const count of Object.values(report.faults)) expect(count).toBeGreaterThan(0);
    expect(report.resumes).toBeGreaterThan(0);
    expect(report.repeated).toBeGreaterThan(0);
  },
);
