import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, urlOf } from "../test/cluster.ts";
import { API_ERRORS } from "./api-errors.ts";
import type { RunningServer } from "./running-server.ts";

let cluster: Cluster;
let api: RunningServer;
beforeAll(async () => {
  cluster = await Cluster.start();
  api = await cluster.api({ basePath: "/api", bodyLimit: 2_000, corsOrigins: ["https://chat.example"] });
});
afterAll(() => cluster.close());

interface Request {
  readonly path?: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
  readonly method?: string;
}

async function call({ path = "/v1/channels/room/entries", body, headers, method = "POST" }: Request) {
  const response = await fetch(`${urlOf(api)}/api${path}`, {
    method,
    headers: { "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return { status: response.status, answer: JSON.parse(await response.text()) };
}

const good = '{"event":"said","data":{"text":"hello"}}';

it("appends an entry and answers with its cursor", async () => {
  const { status, answer } = await call({
    path: `/v1/channels/${encodeURIComponent("a/b~#1")}/entries`,
    body: good,
  });
  expect(status).toBe(201);
  expect(answer).toEqual({
    channel: "a/b~#1",
    offset: 1,
    cursor: expect.stringMatching(/^1\./),
    duplicate: false,
  });
  const log = await cluster.broker.history("a/b~#1", {});
  expect(log.type === "page" && log.entries.map((entry) => new TextDecoder().decode(entry.data))).toEqual([
    '["said",{"text":"hello"}]',
  ]);
});

it("appends once for one key", async () => {
  const request = { path: "/v1/channels/keyed/entries", body: good, headers: { "idempotency-key": "one" } };
  const first = await call(request);
  const second = await call(request);
  expect([first.status, second.status]).toEqual([201, 200]);
  expect(second.answer).toEqual({ ...first.answer, duplicate: true });
});

it("takes a channel name of 200 characters, each percent-encoded", async () => {
  const { status } = await call({ path: `/v1/channels/${"%3D".repeat(200)}/entries`, body: good });
  expect(status).toBe(201);
});

describe("refuses", () => {
  const wrong: readonly (Request & { readonly code: string; readonly title: string })[] = [
    { title: "a path without a channel", path: "/v1/channels//entries", body: good, code: "CHANNEL_MISSING" },
    { title: "a path that ends before it", path: "/v1/channels", body: good, code: "CHANNEL_MISSING" },
    {
      title: "a space in a channel name",
      path: "/v1/channels/a%20b/entries",
      body: good,
      code: "CHANNEL_INVALID",
    },
    {
      title: "a name of 201",
      path: `/v1/channels/${"x".repeat(201)}/entries`,
      body: good,
      code: "CHANNEL_INVALID",
    },
    {
      title: "a name of 5,000",
      path: `/v1/channels/${"x".repeat(5_000)}/entries`,
      body: good,
      code: "CHANNEL_INVALID",
    },
    {
      title: "a broken percent-encoding",
      path: "/v1/channels/%zz/entries",
      body: good,
      code: "CHANNEL_INVALID",
    },
    {
      title: "our own channels",
      path: "/v1/channels/holdfast:node:a/entries",
      body: good,
      code: "CHANNEL_RESERVED",
    },
    { title: "text that is no JSON", body: "{event:1}", code: "BODY_INVALID_JSON" },
    { title: "an empty body", body: "", code: "BODY_INVALID_JSON" },
    { title: "bytes that are no UTF-8", body: new Uint8Array([0x22, 0xff, 0x22]), code: "BODY_INVALID_JSON" },
    { title: "an array", body: "[1]", code: "BODY_INVALID" },
    { title: "null", body: "null", code: "BODY_INVALID" },
    { title: "a body without event", body: '{"data":1}', code: "BODY_INVALID" },
    { title: "a body without data", body: '{"event":"e"}', code: "BODY_INVALID" },
    { title: "an unknown field", body: '{"event":"e","data":1,"room":"x"}', code: "BODY_INVALID" },
    { title: "a prototype", body: '{"event":"e","data":1,"__proto__":{}}', code: "BODY_INVALID" },
    { title: "an event that is no text", body: '{"event":5,"data":1}', code: "BODY_INVALID" },
    { title: "an empty event", body: '{"event":"","data":1}', code: "BODY_INVALID" },
    {
      title: "deep nesting",
      body: `{"event":"e","data":${"[".repeat(500)}${"]".repeat(500)}}`,
      code: "BODY_INVALID",
    },
    { title: "Socket.IO's own event", body: '{"event":"disconnect","data":1}', code: "EVENT_RESERVED" },
    { title: "our own event", body: '{"event":"holdfast:entry","data":1}', code: "EVENT_RESERVED" },
    {
      title: "a long key",
      body: good,
      headers: { "idempotency-key": "k".repeat(257) },
      code: "IDEMPOTENCY_KEY_INVALID",
    },
    {
      title: "an empty key",
      body: good,
      headers: { "idempotency-key": "" },
      code: "IDEMPOTENCY_KEY_INVALID",
    },
    {
      title: "plain text",
      body: good,
      headers: { "content-type": "text/plain" },
      code: "UNSUPPORTED_MEDIA_TYPE",
    },
    {
      title: "a body over the limit",
      body: JSON.stringify({ event: "e", data: "x".repeat(2_000) }),
      code: "BODY_TOO_LARGE",
    },
    { title: "another path", path: "/v2/channels/room/entries", body: good, code: "NOT_FOUND" },
    { title: "another method", method: "PUT", body: good, code: "NOT_FOUND" },
  ];
  it.each(wrong)("$title: $code", async ({ code, ...request }) => {
    const { status, answer } = await call(request);
    const { retryable, status: expected } = API_ERRORS[code as keyof typeof API_ERRORS];
    expect(answer).toEqual({ error: { code, message: expect.any(String), retryable } });
    expect(status).toBe(expected);
  });
});

it("answers 503 while the broker can't be reached", async () => {
  const own = await Cluster.start();
  try {
    const lone = await own.api();
    const url = `${urlOf(lone)}/v1/channels/room/entries`;
    await expect.poll(async () => (await fetch(`${urlOf(lone)}/readyz`)).status).toBe(200);
    await own.broker.close();
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: good,
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: "BROKER_UNAVAILABLE", retryable: true } });
  } finally {
    await own.close();
  }
});

it("is healthy at /, at its base path, and beneath it", async () => {
  for (const path of ["/", "/api", "/healthz", "/api/healthz", "/api/readyz", "/metrics"]) {
    await expect.poll(async () => `${path} ${(await fetch(urlOf(api) + path)).status}`).toBe(`${path} 200`);
  }
});

it("lets pages of the configured origins call, and no others", async () => {
  const preflight = (origin: string) =>
    fetch(`${urlOf(api)}/api/v1/channels/room/entries`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
  const allowed = await preflight("https://chat.example");
  expect(allowed.status).toBe(204);
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://chat.example");
  expect(allowed.headers.get("access-control-allow-headers")).toContain("Idempotency-Key");
  expect((await preflight("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
});

it("lists in docs/protocol.md exactly the errors that it answers with", async () => {
  const text = await readFile(new URL("../../../docs/protocol.md", import.meta.url), "utf8");
  const table = text.slice(text.indexOf("| code | status |"));
  const rows = [...table.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \| (yes|no) \|/gm)];
  const documented = Object.fromEntries(
    rows.map(([, code, status, retryable]) => [
      code,
      { status: Number(status), retryable: retryable === "yes" },
    ]),
  );
  const inCode = Object.fromEntries(
    Object.entries(API_ERRORS).map(([code, { status, retryable }]) => [code, { status, retryable }]),
  );
  expect(documented).toEqual(inCode);
});
