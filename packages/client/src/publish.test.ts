import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { readClientOptions } from "./options.ts";
import { publish } from "./publish.ts";

let server: Server;
let base: string;
let respond: (request: IncomingMessage, response: ServerResponse, body: string) => void;
let keys: unknown[];

beforeEach(async () => {
  keys = [];
  server = createServer(async (request, response) => {
    keys.push(request.headers["idempotency-key"]);
    let body = "";
    for await (const chunk of request) body += chunk;
    respond(request, response, body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/`;
});
afterEach(() => {
  vi.useRealTimers();
  server.closeAllConnections();
  server.close();
});

const accepted = { channel: "a/b", offset: 1, cursor: "1.e.1.t", duplicate: false };
const send = (options = {}, publishOptions = {}) =>
  publish(readClientOptions({ api: base, ...options }), "a/b", "said", { x: 1 }, publishOptions);

it("tries again with the same key while the server is away, and appends under one key", async () => {
  let attempts = 0;
  respond = (request, response, body) => {
    attempts++;
    if (attempts === 1) request.socket.destroy();
    else if (attempts === 2) response.writeHead(503).end("busy");
    else {
      expect(request.url).toBe("/api/v1/channels/a%2Fb/entries");
      expect(JSON.parse(body)).toEqual({ event: "said", data: { x: 1 } });
      response.writeHead(201).end(JSON.stringify(accepted));
    }
  };
  expect(await send()).toEqual(accepted);
  expect(keys).toHaveLength(3);
  expect(new Set(keys).size).toBe(1);
  expect(String(keys[0]).length).toBeGreaterThan(30);
});

it("gives up in time, with what it met last as the cause", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  respond = (_request, response) => {
    vi.setSystemTime(Date.now() + 12_000);
    response.writeHead(503).end('{"error":{"code":"BROKER_UNAVAILABLE","message":"m"}}');
  };
  await expect(send({ publishTimeoutMs: 20_000 })).rejects.toMatchObject({
    code: "PUBLISH_TIMEOUT",
    cause: { code: "PUBLISH_REFUSED", serverCode: "BROKER_UNAVAILABLE" },
  });
  expect(keys).toHaveLength(2);
});

it("does not repeat what is refused", async () => {
  respond = (_request, response) =>
    response.writeHead(400).end('{"error":{"code":"EVENT_RESERVED","message":"kept","retryable":false}}');
  await expect(send({}, { idempotencyKey: "mine" })).rejects.toMatchObject({
    code: "PUBLISH_REFUSED",
    serverCode: "EVENT_RESERVED",
  });
  expect(keys).toEqual(["mine"]);
});

it.each(["", "<html>", "null", "[]", '{"channel":5}'])("does not take %j for an answer", async (text) => {
  respond = (_request, response) => response.writeHead(201).end(text);
  await expect(send()).rejects.toMatchObject({ code: "ANSWER_INVALID" });
});

it("says that it needs the API's address", async () => {
  const settings = readClientOptions({});
  await expect(publish(settings, "c", "e", 1, {})).rejects.toMatchObject({ code: "API_MISSING" });
});

it.each<[object, string]>([
  [{ apis: "x" }, "apis"],
  [{ publishTimeoutMs: 0 }, "publishTimeoutMs must be"],
])("refuses the options %j", (options, message) => {
  expect(() => readClientOptions(options)).toThrow(message);
});
