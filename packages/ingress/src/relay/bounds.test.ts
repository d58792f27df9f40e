import { afterEach, describe, expect, test, vi } from "vitest";
import { RawClient, send, upgradeHead } from "../../test/clients.ts";
import { modelOf } from "../../test/models.ts";
import { echo, startPod } from "../../test/pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

const refused = (cause: string, status: number) =>
  expect.objectContaining({ type: "refused", cause, status });
const post = (fields: string, body = "") => `POST / HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;

describe("a client that sends", () => {
  test.each([
    [
      "more fields than may be",
      `GET / HTTP/1.1\r\nHost: x\r\n${"A: b\r\n".repeat(100)}\r\n`,
      431,
      "head-too-large",
    ],
    ["a head without end", `GET / HTTP/1.1\r\nHost: x\r\nA: ${"a".repeat(20_000)}`, 431, "head-too-large"],
    ["lines that end in LF alone", "GET / HTTP/1.1\nHost: x\n\n", 400, "malformed-request"],
    ["TLS", "\u0016\u0003\u0001\u0002\u0000", 400, "malformed-request"],
    ["another version", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, "malformed-request"],
    ["an unknown expectation", "GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", 417, "malformed-request"],
    ["a malformed chunk", post("Transfer-Encoding: chunked", "x\r\n"), 400, "malformed-request"],
    ["too large a body", post("Content-Length: 101", "x"), 413, "body-too-large"],
    [
      "too large a body in chunks",
      post("Transfer-Encoding: chunked", `65\r\n${"x".repeat(101)}`),
      413,
      "body-too-large",
    ],
  ])("%s is told so at once, and cut off", async (_what, bytes, status, cause) => {
    const pod = await startPod("web", { handle: () => {} });
    const served = await serve([pod], { maxBodyBytes: 100 });
    const client = await RawClient.open(served, bytes);
    await vi.waitFor(() => expect(client.ended).toBe(true));
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(served.events).toContainEqual(refused(cause, status));
    expect(pod.seen.every(({ complete }) => !complete)).toBe(true);
  });

  test("a malformed chunk while its answer is on the way has that broken off", async () => {
    const pod = await startPod("web", { handle: (request, response) => void request.pipe(response) });
    const served = await serve([pod]);
    const client = await RawClient.open(served, post("Transfer-Encoding: chunked", "3\r\none\r\n"));
    await vi.waitFor(() => expect(client.received).toMatch(/one/));
    client.socket.write("nonsense");
    await vi.waitFor(() => expect(client.closed || client.ended).toBe(true));
    expect(client.received).not.toMatch(/400|\r\n0\r\n/);
    expect(served.requests()).toMatchObject([{ outcome: "malformed", status: 200 }]);
  });

  test("no more of a body that it began is answered with 408, though the pod waits", async () => {
    const pod = await startPod("web", { handle: (request, response) => void request.pipe(response) });
    const served = await serve([await startPod("web", { handle: () => {} })], { bodyTimeoutMs: 200 });
    const client = await RawClient.open(served, post("Content-Length: 9", "x"));
    await vi.waitFor(() => expect(client.ended).toBe(true), 3000);
    expect(client.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(served.events).toContainEqual(refused("body-timeout", 408));
    expect(served.requests()).toMatchObject([{ outcome: "malformed", status: 408 }]);
    expect(pod.seen).toEqual([]);
  });

  test("a body slowly, but without a long pause, is served", async () => {
    const pod = await startPod("web", { handle: (request, response) => void request.pipe(response) });
    const served = await serve([pod], { bodyTimeoutMs: 1_000 });
    const client = await RawClient.open(served, post("Content-Length: 12"));
    for (let sent = 0; sent < 12; sent++) {
      client.socket.write("x");
      // Less than the timeout each, more than it together.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await vi.waitFor(() => expect(client.received).toMatch(/(?:1\r\nx\r\n){12}0\r\n\r\n$/));
  });

  test("nothing is closed without a word", async () => {
    const served = await serve([await startPod("web")], { headersTimeoutMs: 200 });
    const client = await RawClient.open(served);
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true), 3000);
    expect(client.received).toBe("");
    expect(served.events).toContainEqual(refused("head-timeout", 0));
  });

  test("a part of a head after a request is answered with 408 in its time", async () => {
    const served = await serve([await startPod("web")], { headersTimeoutMs: 200 });
    const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT");
    await vi.waitFor(() => expect(client.ended).toBe(true), 3000);
    expect(client.received).toMatch(/web.*HTTP\/1\.1 408 /s);
  });
});

test("a client with too many connections has the last ones refused, and others have theirs", async () => {
  const served = await serve([await startPod("web")], { maxConnectionsPerClient: 2 });
  const first = await RawClient.open(served);
  await RawClient.open(served);
  const third = await RawClient.open(served);
  await vi.waitFor(() => expect(third.ended).toBe(true));
  expect(third.received).toMatch(/^HTTP\/1\.1 429 /);
  expect(served.events).toContainEqual(refused("too-many-connections-of-client", 429));
  expect((await send(served, { from: "127.0.0.77" })).body).toBe("web");
  first.socket.destroy();
  await vi.waitFor(async () => expect((await send(served)).body).toBe("web"));
});

test("too many upgraded connections are answered with 503, until one ends", async () => {
  const served = await serve([await startPod("web", { upgrade: echo("web") })], { maxUpgrades: 1 });
  const first = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(first.received).toMatch(/web:$/));
  const second = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(second.received).toMatch(/^HTTP\/1\.1 503 .*Retry-After: \d+\r\n/s));
  expect(served.events).toContainEqual(refused("too-many-upgrades", 503));
  expect((await send(served)).body).toBe("web");
  first.socket.destroy();
  await vi.waitFor(async () => {
    const third = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(third.received).toMatch(/\r\n\r\n/));
    expect(third.received).toMatch(/^HTTP\/1\.1 101 /);
  });
});

test("upgrades that come to nothing don't count", async () => {
  const pods = [
    await startPod("web", { upgrade: (_request, socket) => socket.end("HTTP/1.1 400 No\r\n\r\n") }),
  ];
  const served = await serve(pods, { maxUpgrades: 1, model: modelOf() });
  for (let round = 0; round < 3; round++) {
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.closed || client.ended).toBe(true));
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /);
  }
  expect(served.ingress.status().upgrades).toBe(0);
});
