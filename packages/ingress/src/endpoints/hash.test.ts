import { expect, test } from "vitest";
import { fnv1a64, hash64 } from "./hash.ts";

test.each([
  ["", 0xcbf29ce4, 0x84222325],
  ["a", 0xaf63dc4c, 0x8601ec8c],
  ["foobar", 0x85944171, 0xf73967e8],
])("hashes %j as the published FNV-1a vectors have it", (text, hi, lo) => {
  expect(fnv1a64(text)).toEqual({ hi, lo });
});

test("spreads neighbouring addresses over all of the upper and lower halves", () => {
  const hashes = Array.from({ length: 256 }, (_, host) => hash64(`10.0.0.${host}:8080`));
  for (const half of ["hi", "lo"] as const) {
    const eighths = new Array<number>(8).fill(0);
    for (const hash of hashes) eighths[hash[half] >>> 29] = (eighths[hash[half] >>> 29] ?? 0) + 1;
    expect(Math.min(...eighths)).toBeGreaterThan(12);
    expect(Math.max(...eighths)).toBeLessThan(64);
  }
});
