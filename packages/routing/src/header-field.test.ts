import { expect, it } from "vitest";
import { parseHeader } from "./header-field.ts";

it.each([
  ["X-A:1", "X-A", "1"],
  ["X-A: a, b\t", "X-A", "a, b"],
  ["X-A:", "X-A", ""],
  ["X-A:http://b:1/", "X-A", "http://b:1/"],
  ["X-A:caf\u00e9", "X-A", "caf\u00e9"],
])("reads %j", (text, name, value) => {
  expect(parseHeader(text)).toEqual({ ok: true, field: { name, value }, variables: [] });
});

it("empties Google's variables, so that no client can supply the header in their place", () => {
  expect(parseHeader("X-Client-Geo:{client_region},{client_city}")).toEqual({
    ok: true,
    field: { name: "X-Client-Geo", value: "," },
    variables: ["{client_region}", "{client_city}"],
  });
});

it.each([
  "",
  "X-A",
  ":1",
  "X A:1",
  "X-A :1",
  "X-A\r\nX-B:1",
  "X-A:1\r\nX-B:2",
  "X-A:1\u0000",
  "X-A:\u20ac",
  "Transfer-Encoding:chunked",
  "content-length:3",
  "Connection:close",
  "Host:example.com",
  "X-Forwarded-For:10.0.0.1",
])("refuses %j", (text) => {
  expect(parseHeader(text)).toMatchObject({ ok: false });
});
