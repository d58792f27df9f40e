import { expect, test } from "vitest";
import { Partitions } from "./partitions.ts";

test("channels are spread evenly, and stay where they were", () => {
  const partitions = new Partitions("holdfast", 128);
  const counts = new Array<number>(128).fill(0);
  for (let n = 0; n < 12_800; n++) {
    const partition = partitions.of(`room-${n}`);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(50);
  expect(Math.max(...counts)).toBeLessThan(160);
  // Another answer would look for logs where they are not.
  expect([partitions.of("room"), partitions.of("a/b:c"), partitions.of("x")]).toEqual([86, 124, 44]);
});

test("a channel is known by the name of its announcements, whatever characters it has", () => {
  const partitions = new Partitions("holdfast", 1);
  for (const channel of ["room", "c x", "a}c", "~#@"])
    expect(partitions.channelOf(partitions.announcementsOf(0, channel))).toBe(channel);
  expect(partitions.channelOf("{holdfast:0}lc group")).toBeUndefined();
});
