import { expect, test } from "vitest";
import { formatCursor, parseCursor } from "./cursor.ts";

test.each([
  { epoch: "aZ09_-", offset: 0, tag: "" },
  { epoch: "e", offset: Number.MAX_SAFE_INTEGER, tag: "tag-_9" },
])("reads what it has written: %j", (position) => {
  expect(parseCursor(formatCursor(position))).toEqual(position);
});

test.each([
  undefined,
  null,
  7,
  {},
  "",
  "1.e.1",
  "2.e.1.t",
  "1..1.t",
  "1.e.-1.t",
  "1.e.01.t",
  "1.e.1.5.t",
  "1.e.9007199254740993.t",
  "1.e.1.t\n",
  `1.${"e".repeat(65)}.1.t`,
  `1.e.1.${"t".repeat(17)}`,
  "1.é.1.t",
])("takes %j for no cursor", (text) => {
  expect(parseCursor(text)).toBeUndefined();
});
