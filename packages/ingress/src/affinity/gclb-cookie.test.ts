import { describe, expect, test } from "vitest";
import { randomKeys, seededRandom } from "../../test/random.ts";
import { decodeGclb, encodeGclb, formatGclb, readGclb } from "./gclb-cookie.ts";

const hex = (value: string) => {
  const key = decodeGclb(value);
  return key && ((BigInt(key.hi) << 32n) | BigInt(key.lo)).toString(16);
};

/** Captured from Google's load balancers and published; keys worked out with a protobuf decoder. */
const CAPTURED = [
  ["CMOO2-DdvKWMqQE", "a91895e5dc16c743"],
  ["COLf68j0yrfeew", "7bbcde57491aefe2"],
  ["CL2Ei7bTo4-YmAEQAw", "98303d1d36c2c23d"],
  ["CMao2Lr3_OXGDhAD", "e8d97e777561446"],
  ["CMLJzImOmeXsGg", "1ad994c8e13324c2"],
  ["CMD37ejsnuTxkAEQAw", "90e390f6cd1b7bc0"],
  ["CO_a5oLDpqmj-QE", "f946a5343059ad6f"],
  ["CO283tryrdfQahAD", "6aa15d6f2b579e6d"],
] as const;

describe("the value", () => {
  test.each(CAPTURED)("%s, as captured, decodes to %s", (value, key) => {
    expect(hex(value)).toBe(key);
  });

  test.each(CAPTURED.filter(([value]) => value.endsWith("AD") || value.endsWith("EQAw")))(
    "%s, a newer capture, is encoded to the very same text",
    (value) => {
      const key = decodeGclb(value);
      expect(key && encodeGclb(key)).toBe(value);
    },
  );

  test("encodes and decodes any key", () => {
    const edges = [0, 0x7f, 0x80, 0x0fff_ffff, 0x1000_0000, 0xffff_ffff];
    const keys = edges.flatMap((hi) => edges.map((lo) => ({ hi, lo })));
    for (const key of [...keys, ...randomKeys(1000, seededRandom())])
      expect(decodeGclb(encodeGclb(key))).toEqual(key);
  });

  test.each([
    ["nothing", ""],
    ["other characters", "CMOO2-DdvKWMqQE="],
    ["another field", Buffer.from([0x10, 3]).toString("base64url")],
    ["an unfinished number", Buffer.from([0x08, 0x80]).toString("base64url")],
    ["a number of eleven bytes", Buffer.from([0x08, ...Array(10).fill(0x80), 0]).toString("base64url")],
    ["a number over 64 bits", Buffer.from([0x08, ...Array(9).fill(0xff), 2]).toString("base64url")],
    ["bytes after the end", Buffer.from([0x08, 1, 0x10, 3, 0]).toString("base64url")],
    ["a third field", Buffer.from([0x08, 1, 0x18, 3]).toString("base64url")],
    ["a very long value", "C".repeat(4000)],
  ])("is refused when it is %s", (_what, value) => {
    expect(decodeGclb(value)).toBeUndefined();
  });
});

describe("the Cookie header", () => {
  const value = "CL2Ei7bTo4-YmAEQAw";
  test.each([
    `GCLB=${value}`,
    `a=b; GCLB=${value}; c=d`,
    `a=b;GCLB=${value}`,
    `GCLB=broken; GCLB=${value}`,
    `XGCLB=CMao2Lr3_OXGDhAD; GCLB=${value}`,
    `x=GCLB; GCLB= ${value} `,
  ])("%s holds the key", (header) => {
    expect(readGclb(header)).toEqual(decodeGclb(value));
  });

  test.each([undefined, "", "GCLB", "GCLB=", `gclb=${value}`, `GCLBX=${value}`, `a=GCLB=${value}`])(
    "%s holds none",
    (header) => {
      expect(readGclb(header)).toBeUndefined();
    },
  );
});

test("a cookie without a lifetime is written as GKE does", () => {
  expect(formatGclb({ hi: 0x98303d1d, lo: 0x36c2c23d }, 0)).toBe("GCLB=CL2Ei7bTo4-YmAEQAw; path=/; HttpOnly");
});

test("a cookie with a lifetime has its end as a date with dashes", () => {
  const now = Date.UTC(2022, 10, 22, 7, 20, 48);
  expect(formatGclb({ hi: 0x98303d1d, lo: 0x36c2c23d }, 50, now)).toBe(
    "GCLB=CL2Ei7bTo4-YmAEQAw; path=/; HttpOnly; expires=Tue, 22-Nov-2022 07:21:38 GMT",
  );
});
