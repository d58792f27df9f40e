import { describe, expect, test } from "vitest";
import { randomKeys, seededRandom } from "../../test/random.ts";
import { formatGcilb, readGcilb } from "./gcilb-cookie.ts";

/** Captured from one of Google's internal load balancers and published. */
const CAPTURED = 'GCILB="e5cf7b28d9d331a4"; Max-Age=3600; Path=/; HttpOnly';
const KEY = { hi: 0xe5cf7b28, lo: 0xd9d331a4 };

test("is written to the very same text as a captured one", () => {
  expect(formatGcilb(KEY, 3600)).toBe(CAPTURED);
});

test("has no Max-Age where it lasts as long as the browser's session", () => {
  expect(formatGcilb({ hi: 0, lo: 0xf }, 0)).toBe('GCILB="000000000000000f"; Path=/; HttpOnly');
});

describe("the Cookie header", () => {
  test.each([
    'GCILB="e5cf7b28d9d331a4"',
    "GCILB=e5cf7b28d9d331a4",
    'a=b;GCILB="E5CF7B28D9D331A4" ; c=d',
    'GCILB="broken"; GCILB="e5cf7b28d9d331a4"',
  ])("%s holds the key", (header) => {
    expect(readGcilb(header)).toEqual(KEY);
  });

  test.each([
    undefined,
    "GCILB=",
    'GCILB="e5cf7b28d9d331a4',
    "GCILB=e5cf7b28d9d331a",
    "GCILB=e5cf7b28d9d331a44",
    "gcilb=e5cf7b28d9d331a4",
    "GCLB=e5cf7b28d9d331a4",
  ])("%s holds none", (header) => {
    expect(readGcilb(header)).toBeUndefined();
  });
});

test("any key comes back as it was issued", () => {
  for (const key of randomKeys(1000, seededRandom())) {
    expect(readGcilb(formatGcilb(key, 0).split(";")[0])).toEqual(key);
  }
});
