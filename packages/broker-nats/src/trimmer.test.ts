import { afterAll, afterEach, expect, test, vi } from "vitest";
import { record as entry, KEPT } from "../test/records.ts";
import { ServerClock } from "./server-clock.ts";
import { Subjects } from "./subjects.ts";
import { Trimmer } from "./trimmer.ts";

const clock = new ServerClock(new Subjects("holdfast", 1));
const now = vi.spyOn(clock, "now");
const purge = vi.fn(async () => undefined);
const log = { purge } as unknown as ConstructorParameters<typeof Trimmer>[0];
const trimmer = new Trimmer(log, clock, { retention: KEPT, keepMs: 1000, sweepMs: 60_000 });

afterAll(() => trimmer.end());
afterEach(() => purge.mockClear());

test("deletes what retention has dropped once the keys in it are over, and never the newest record", async () => {
  const step = (offset: number, time: number) => {
    now.mockReturnValue(time);
    trimmer.written("room", entry({ offset, time, retention: { maxEntries: 300, maxAgeMs: 60_000 } }));
  };
  step(1, 10_000);
  step(257, 10_010);
  step(513, 10_020);
  step(600, 10_030);
  await trimmer.sweep();
  expect(purge).not.toHaveBeenCalled();
  now.mockReturnValue(11_500);
  await trimmer.sweep();
  expect(purge.mock.calls.map((call: readonly unknown[]) => call.slice(0, 2))).toEqual([["room", 256]]);
  now.mockReturnValue(80_000);
  await trimmer.sweep();
  expect(purge.mock.lastCall?.slice(0, 2)).toEqual(["room", 600]);
  purge.mockClear();
  await trimmer.sweep();
  expect(purge).not.toHaveBeenCalled();
});
