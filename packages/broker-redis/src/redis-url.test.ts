import { expect, test } from "vitest";
import { readRedisUrl } from "./redis-url.ts";

const open = { tls: false, username: undefined, password: undefined, database: 0 };

test.each([
  ["redis://cache", "single", [{ host: "cache", port: 6379 }], "", open],
  ["redis://[::1]:7000/3", "single", [{ host: "::1", port: 7000 }], "", { ...open, database: 3 }],
  ["rediss://:p%40ss@h:1", "single", [{ host: "h", port: 1 }], "", { ...open, tls: true, password: "p@ss" }],
  [
    "redis://me:secret@h",
    "single",
    [{ host: "h", port: 6379 }],
    "",
    { ...open, username: "me", password: "secret" },
  ],
  [
    "redis+sentinel://:x@a,b:5/main/2",
    "sentinel",
    [
      { host: "a", port: 26_379 },
      { host: "b", port: 5 },
    ],
    "main",
    { ...open, password: "x", database: 2 },
  ],
  [
    "redis+cluster://a:1,b:2",
    "cluster",
    [
      { host: "a", port: 1 },
      { host: "b", port: 2 },
    ],
    "",
    open,
  ],
])("reads %s", (url, type, addresses, primary, credentials) => {
  expect(readRedisUrl(url)).toMatchObject({
    type,
    addresses,
    credentials,
    ...(primary !== "" && { primary }),
  });
});

test.each([
  "redis://",
  "redis://a,b",
  "redis://h:0",
  "redis://h:70000",
  "redis://h/name",
  "redis+sentinel://h:1",
  "redis+cluster://h/1",
  "redis+other://h",
  "redis://h?secret=hush",
  "redis://u:%ZZhush@h",
])("refuses %s, and keeps what may be a secret to itself", (url) => {
  const error = (() => {
    try {
      readRedisUrl(url);
    } catch (thrown) {
      return thrown;
    }
  })();
  expect(error).toMatchObject({ code: "BROKER_URL_INVALID" });
  expect(String(error)).not.toContain("hush");
});
