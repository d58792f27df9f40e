import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { survival } from "../faults/survival.ts";

const seed = testSeed();

// Half of the clients poll. Without a cookie, and with every request at the next pod, none of them could even begin a
// session if pods didn't hand requests to each other.
test(`with no affinity at all every client has every message once and in one order while pods are killed (SEED=${seed})`, async () => {
  const report = await survival({
    seed,
    clients: 20,
    channels: 3,
    messages: 600,
    signal: "SIGKILL",
    affinity: "none",
  });
  console.log(report);
  expect(report.violations).toEqual([]);
  expect(report.published).toBe(603);
  expect(report.refused).toBe(0);
  // Without these the run would prove nothing.
  expect(report.kills).toBeGreaterThanOrEqual(2);
  expect(report.resumes).toBeGreaterThan(20);
  expect(report.recovered).toBeGreaterThan(0);
});
