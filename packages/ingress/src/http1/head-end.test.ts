import { expect, test } from "vitest";
import { findHeadEnd, hasBareLineBreak } from "./head-end.ts";

test("finds the end of a head, also where it came in two pieces", () => {
  const bytes = Buffer.from("__GET / HTTP/1.1\r\n\r\nrest\r\n\r\n");
  expect(findHeadEnd(bytes)).toBe(16);
  expect(findHeadEnd(bytes, 17)).toBe(24);
  expect(findHeadEnd(bytes.subarray(0, 19))).toBe(-1);
  for (let searched = 0; searched <= 17; searched++) expect(findHeadEnd(bytes, 2, searched)).toBe(16);
});

test.each([
  ["", false],
  ["GET / HTTP/1.1\r\nX: y", false],
  ["GET / HTTP/1.1\r", false],
  ["GET / HTTP/1.1\n", true],
  ["\n", true],
  ["\r\n", false],
  ["\r\r\n", true],
  ["a\rb\r\n", true],
  ["a\r\nb\n", true],
])("of %j, knows whether a line breaks off without CRLF: %s", (text, bare) => {
  expect(hasBareLineBreak(Buffer.from(text))).toBe(bare);
});

test("looks at the given bytes only", () => {
  const bytes = Buffer.from("\na\r\nb\n");
  expect(hasBareLineBreak(bytes, 1, 5)).toBe(false);
  expect(hasBareLineBreak(bytes, 1)).toBe(true);
});
