import { expect, test } from "vitest";
import { FieldSet } from "./field-set.ts";

test("replaces whole lines of the same name, in any case and with underscores, and no others", () => {
  const set = FieldSet.of([
    { name: "X-A", value: "new" },
    { name: "X.B$", value: "" },
  ]);
  const lines = "x-a: 1\r\nX_A: 2\r\nX-AB: X-A: 3\r\nXX-A: 4\r\nxXb$: 5\r\nX.B$:6\r\n";
  expect(set?.applyTo(lines)).toBe("X-AB: X-A: 3\r\nXX-A: 4\r\nxXb$: 5\r\nX-A: new\r\nX.B$: \r\n");
  expect(set?.applyTo("")).toBe("X-A: new\r\nX.B$: \r\n");
});

test("is nothing where there are no fields", () => {
  expect(FieldSet.of([])).toBeUndefined();
});

test("writes values as UTF-8", () => {
  const lines = FieldSet.of([{ name: "X", value: "ä" }])?.applyTo("");
  expect(Buffer.from(lines ?? "", "latin1").toString("utf8")).toBe("X: ä\r\n");
});

test("keeps both of two fields with one name", () => {
  const set = FieldSet.of([
    { name: "Set-Cookie", value: "a=1" },
    { name: "Set-Cookie", value: "b=2" },
  ]);
  expect(set?.applyTo("set-cookie: c=3\r\n")).toBe("Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n");
});

test.each([
  ["a line break in the value", "X", "a\r\nY: b"],
  ["a NUL in the value", "X", "\0"],
  ["no name", "", "a"],
  ["a colon in the name", "X:", "a"],
  ["a line break in the name", "X\r\n", "a"],
  ["the host", "Host", "a"],
  ["the length", "content-length", "1"],
  ["the coding, with an underscore", "Transfer_Encoding", "chunked"],
  ["the connection", "Connection", "close"],
  ["the client's address", "X-Forwarded-For", "127.0.0.1"],
])("refuses %s", (_what, name, value) => {
  expect(() => FieldSet.of([{ name, value }])).toThrow(expect.objectContaining({ code: "MODEL_INVALID" }));
});
