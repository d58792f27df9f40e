import { expect, test } from "vitest";
import { readOptions, readUrl } from "./options.ts";

test("reads servers, credentials and options from a URL", () => {
  const url =
    "nats://me:p%40ss%3Aword@a.example:4222,[::1]:4223,b.example?partitions=8&replicas=3&prefix=chat";
  expect(readUrl(url)).toEqual({
    target: {
      servers: ["a.example:4222", "[::1]:4223", "b.example"],
      tls: false,
      user: "me",
      password: "p@ss:word",
      token: undefined,
    },
    options: { partitions: 8, replicas: 3, prefix: "chat" },
  });
  expect(readUrl("tls+nats://secret@a.example").target).toMatchObject({ tls: true, token: "secret" });
});

test.each([
  "nats://",
  "nats:a.example",
  "nats://a.example:0",
  "nats://a.example:65536",
  "nats://a.example,",
  "nats://a.example/path",
  "nats://%ff@a.example",
  "http://a.example",
])("refuses %s, without repeating it", (url) => {
  expect(() => readUrl(url)).toThrow(expect.objectContaining({ code: "BROKER_URL_INVALID" }));
});

test("tells no secret when it refuses a URL", () => {
  expect(() => readUrl("nats://me:secret@a.example/path")).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining("secret") }),
  );
});

test.each([
  { partitions: 0 },
  { partitions: 257 },
  { replicas: 2 },
  { storage: "tape" as "file" },
  { prefix: "a.b" },
  { idempotencyMs: 1000 },
  { surprise: 1 },
])("refuses the options %j", (options) => {
  expect(() => readOptions(options)).toThrow(expect.objectContaining({ code: "OPTIONS_INVALID" }));
});

test("refuses options in a URL that it doesn't take there", () => {
  expect(() => readUrl("nats://a.example?requestMs=1")).toThrow(
    expect.objectContaining({ code: "OPTIONS_INVALID" }),
  );
});
