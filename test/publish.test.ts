import { type RunningServer, readApiConfig, startApi } from "@holdfast/server";
import { afterAll, beforeAll, expect, test } from "vitest";
import { holdfast } from "./support/cli.ts";

let api: RunningServer;
let address: string[];

beforeAll(async () => {
  api = await startApi(
    readApiConfig({ PORT: "0", HOST: "127.0.0.1", HOLDFAST_BASE_PATH: "/api", HOLDFAST_LOG_LEVEL: "silent" }),
  );
  address = ["--api", `http://127.0.0.1:${api.port}/api`];
});

afterAll(() => api.close());

test("a publish prints its place, and the same key again appends nothing", async () => {
  const args = ["publish", "room-1", "message", '{"text":"hello"}', "--key", "order-4711", ...address];
  const first = await holdfast(args);
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/^room-1 1 \(cursor 1\.[\w-]+\.1\.[\w-]+\)\n$/);
  expect((await holdfast(args)).stdout).toBe(
    first.stdout.replace(")\n", "), published before with this key\n"),
  );
});

test.each([
  ["no channel", ["", "message", "1"], 1, /400 CHANNEL_MISSING: the path names no channel/],
  ["no channel argument at all", [], 2, /missing required argument 'channel'/],
  ["a body over the limit", ["room", "message", `"${"x".repeat(70_000)}"`], 1, /413 BODY_TOO_LARGE: /],
  ["invalid JSON", ["room", "message", "{text: 1}"], 2, /the data is not JSON: .*\n {2}fix: /],
  ["a channel name with a space", ["room 1", "message", "1"], 1, /400 CHANNEL_INVALID: /],
  ["a reserved event", ["room", "disconnect", "1"], 1, /400 EVENT_RESERVED: /],
])("a publish with %s says what is wrong", async (_title, args, code, message) => {
  const outcome = await holdfast(["publish", ...args, ...address]);
  expect(outcome.stderr).toMatch(message);
  expect(outcome).toMatchObject({ code, stdout: "" });
});
