import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { holdfast } from "../test/command.ts";

const closing: (() => unknown)[] = [];
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

/** A publish API that answers everything in one way, and remembers what it was asked. */
async function api(status: number, answer: unknown) {
  const asked: { url: string | undefined; headers: IncomingMessage["headers"]; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      asked.push({ url: request.url, headers: request.headers, body });
      response.writeHead(status, { "content-type": "application/json", connection: "close" });
      response.end(typeof answer === "string" ? answer : JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api` };
}

const accepted = { channel: "room 1", offset: 7, cursor: "1.e.7.t", duplicate: false };

describe("holdfast publish", () => {
  test("publishes with the key and prints the position", async () => {
    const { url, asked } = await api(201, accepted);
    const { code, stdout } = await holdfast([
      "publish",
      "room/1",
      "message",
      '{"a":1}',
      "--api",
      `${url}/`,
      "--key",
      "k",
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "room 1 7 (cursor 1.e.7.t)\n" });
    expect(asked).toMatchObject([
      {
        url: "/api/v1/channels/room%2F1/entries",
        headers: { "idempotency-key": "k", "content-type": "application/json" },
        body: '{"event":"message","data":{"a":1}}',
      },
    ]);
  });

  test("prints the API's answer as JSON", async () => {
    const { url } = await api(200, { ...accepted, duplicate: true });
    const { stdout } = await holdfast(["publish", "room 1", "message", "1", "--api", url, "--json"]);
    expect(JSON.parse(stdout)).toEqual({ ...accepted, duplicate: true });
  });

  test.each([
    [
      400,
      { error: { code: "CHANNEL_INVALID", message: "no such name", retryable: false } },
      /CHANNEL_INVALID: no such name/,
    ],
    [502, "<html>", /502: not an answer of the publish API/],
  ])("ends with 1 and says why when it is refused (%i)", async (status, answer, message) => {
    const { url } = await api(status, answer);
    const { code, stderr } = await holdfast(["publish", "room", "message", "1", "--api", url]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  test("ends with 1 when the API can't be reached", async () => {
    const { code, stderr } = await holdfast(["publish", "r", "m", "1", "--api", "http://127.0.0.1:1"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/PUBLISH_UNREACHABLE: http:\/\/127\.0\.0\.1:1 .*\n {2}fix: /);
  });

  test.each([
    [
      "data that is not JSON",
      ["room", "message", "{a:1}", "--api", "http://127.0.0.1:1"],
      /the data is not JSON/,
    ],
    [
      "an address that is none",
      ["room", "message", "1", "--api", "chat.example.com"],
      /--api chat\.example\.com/,
    ],
    ["no address", ["room", "message", "1"], /--api/],
    ["no data", ["room", "message", "--api", "http://127.0.0.1:1"], /json/],
  ])("ends with 2 on %s", async (_, args, message) => {
    const { code, stderr } = await holdfast(["publish", ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});
