import { expect, it } from "vitest";
import { channelMark, formatPlace, parsePlace, START, UNSURE } from "./place.ts";

const entry = (offset: number, tag = "aB_-") => ({ offset, seq: 1, tag, time: 0, data: new Uint8Array() });

it("gives back what was written, up to the greatest numbers", () => {
  for (const [seq, offset] of [
    [1, 1],
    [35, 36],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ] as const) {
    const text = formatPlace("lobby", entry(offset), seq);
    expect(parsePlace(text)).toEqual({ type: "entry", seq, offset, tag: "aB_-", mark: channelMark("lobby") });
    expect(text.length).toBeLessThanOrEqual(64);
  }
  expect(parsePlace(START)).toEqual({ type: "start" });
});

it("tells channels apart, and always in the same way", () => {
  expect(channelMark("lobby")).toBe(channelMark("lobby"));
  expect(channelMark("lobby")).not.toBe(channelMark("lobby2"));
  expect(channelMark("lobby")).toMatch(/^[\w-]{8}$/);
});

it.each([
  ["nothing", undefined],
  ["no text", { toString: (): string => "h1.0" }],
  ["an empty text", ""],
  ["a place that is none", UNSURE],
  ["Socket.IO's own offset", "PGuBmwX"],
  ["another version", "h2.1.AAAAAAAA.1.t"],
  ["seq 0", "h1.0.AAAAAAAA.1.t"],
  ["a number past what is exact", "h1.zzzzzzzzzzz.AAAAAAAA.1.t"],
  ["an offset past what is exact", "h1.1.AAAAAAAA.zzzzzzzzzzz.t"],
  ["a negative number", "h1.-1.AAAAAAAA.1.t"],
  ["a part too many", "h1.1.AAAAAAAA.1.t.u"],
  ["a part too few", "h1.1.AAAAAAAA.1"],
  ["a line break after it", "h1.1.AAAAAAAA.1.t\n"],
  ["a long mark", "h1.1.AAAAAAAAA.1.t"],
  ["other characters", "h1.1.AAAAAAA\u0000.1.t"],
  ["an abyss", `h1.1.AAAAAAAA.1.${"t".repeat(1_000_000)}`],
])("takes %s for no place", (_title, text) => {
  expect(parsePlace(text)).toBeUndefined();
});
