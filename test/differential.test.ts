// What is left out of the comparison, and only this, is what docs/socketio.md says of several servers: what one of them emits
// to different rooms may change places, though for all clients alike, and a volatile packet need not come. Of stock Socket.IO's
// own: that it restores a session again that was restored once and has been ended since.
import { testSeed } from "@holdfast/broker/testing";
import { expect, test } from "vitest";
import { differential } from "../faults/differential/differential.ts";
import { type EngineName, serversOn } from "../faults/differential/holdfast-fleet.ts";

const seed = testSeed() % 1_000_000;

async function run(engine: EngineName, programs: number): Promise<{ recovered: number }> {
  let recovered = 0;
  for (let n = 0; n < programs; n++) {
    const report = await differential({ seed: seed + n, ...serversOn(engine) });
    recovered += report.recovered;
    expect({ seed: seed + n, violations: report.violations }).toEqual({ seed: seed + n, violations: [] });
    expect(report.seen).toBeGreaterThan(0);
  }
  return { recovered };
}

test(`clients of three servers see what they would see on one server with stock Socket.IO (SEED=${seed})`, async () => {
  const { recovered } = await run("embedded", 12);
  // Without these the run would prove less than it says.
  expect(recovered).toBeGreaterThan(0);
});

test.each<EngineName>(["redis-cluster", "nats-partitioned"])(
  `they do where rooms have no order of all and nobody is recovered, too: on %s (SEED=${seed})`,
  async (engine) => {
    expect(await run(engine, 2)).toEqual({ recovered: 0 });
  },
);
