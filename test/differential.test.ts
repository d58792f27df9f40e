// What is left out of the comparison, and only this, is what docs/socketio.md says of several servers: the order between
// different rooms, and whether a volatile packet comes. Of stock Socket.IO's own: that it restores a
// session again that was restored once and has been ended since.
import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { differential } from "../faults/differential/differential.ts";
import { startHoldfast } from "../faults/differential/holdfast-fleet.ts";

const PROGRAMS = 12;
const seed = testSeed() % 1_000_000;

test(`clients of three servers see what they would see on one server with stock Socket.IO (SEED=${seed})`, async () => {
  const start = (options: Parameters<typeof startHoldfast>[1]) => startHoldfast("embedded", options);
  let recovered = 0;
  for (let n = 0; n < PROGRAMS; n++) {
    const report = await differential({ seed: seed + n, start });
    recovered += report.recovered;
    expect({ seed: seed + n, violations: report.violations }).toEqual({ seed: seed + n, violations: [] });
    expect(report.seen).toBeGreaterThan(0);
  }
  // Without these the run would prove less than it says.
  expect(recovered).toBeGreaterThan(0);
});
