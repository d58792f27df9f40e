import { once } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RawClient, send } from "../../test/clients.ts";
import { startPod } from "../../test/pods.ts";
import { answerEach, startRawPod } from "../../test/raw-pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

const post = (fields: string, body = "") => `POST / HTTP/1.1\r\nHost: x\r\n${fields}\r\n\r\n${body}`;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

test("relays chunks, their extensions and trailers as they came, both ways", async () => {
  const body = "3;a=b\r\nabc\r\n0\r\nX-Check: 1\r\n\r\n";
  const pod = await startRawPod(({ socket, received }) => {
    if (received.endsWith(body)) {
      socket.write(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n`,
      );
    }
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served, post("Transfer-Encoding: chunked", body));
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\n\r\n$/));
  expect(pod.connections[0]?.received).toMatch(/Transfer-Encoding: chunked\r\n/);
});

describe("a client that waits to be told to go on", () => {
  test("is told so by the pod, once, and its body follows", async () => {
    const pod = await startRawPod(({ socket, received }) => {
      if (received.endsWith("\r\n\r\n")) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      else if (received.endsWith("hello")) socket.write(OK);
    });
    const served = await serve([pod]);
    const client = await RawClient.open(served, post("Expect: 100-continue\r\nContent-Length: 5"));
    await vi.waitFor(() => expect(client.received).toMatch(/^HTTP\/1\.1 100 Continue\r\n(?:.+\r\n)*\r\n$/));
    expect(pod.connections[0]?.received).toMatch(/Expect: 100-continue\r\n/);
    client.socket.write("hello");
    await vi.waitFor(() => expect(client.received).toMatch(/ok$/));
    expect(client.received.match(/100 Continue/g)).toHaveLength(1);
  });

  test("has the pod's refusal at once, and what it sends of the body is thrown away", async () => {
    const pod = await startRawPod(answerEach("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"));
    const served = await serve([pod]);
    const client = await RawClient.open(served, post("Expect: 100-continue\r\nContent-Length: 5"));
    await vi.waitFor(() => expect(client.received).toMatch(/^HTTP\/1\.1 401 .*\r\n\r\nno$/s));
    client.socket.write("hello");
    client.socket.write("GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(client.received.match(/401/g)).toHaveLength(2));
    expect(pod.connections).toHaveLength(2);
  });

  test("that doesn't wait is not told that it may", async () => {
    const pod = await startRawPod(({ socket, received }) => {
      if (received.endsWith("hello")) socket.write(`HTTP/1.1 100 Continue\r\n\r\n${OK}`);
    });
    const served = await serve([pod]);
    const client = await RawClient.open(served, post("Content-Length: 5", "hello"));
    await vi.waitFor(() => expect(client.received).toMatch(/ok$/));
    expect(client.received).not.toMatch(/100/);
  });
});

test("passes interim answers on, to those who know them, and the answer after them", async () => {
  const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
  const pod = await startRawPod(answerEach(hints + hints + OK));
  const served = await serve([pod]);
  const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/ok$/));
  expect(client.received.match(/103 Early Hints\r\nLink: <\/a\.css>/g)).toHaveLength(2);
  const old = await RawClient.open(served, "GET / HTTP/1.0\r\n\r\n");
  await vi.waitFor(() => expect(old.received).toMatch(/ok$/));
  expect(old.received).toMatch(/^HTTP\/1\.1 200/);
});

test("answers 502 to a pod that goes on saying that it will answer", async () => {
  const pod = await startRawPod(answerEach("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)));
  const served = await serve([pod]);
  expect((await send(served)).status).toBe(502);
});

test.each([
  ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"],
  ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
  ["GET", "HTTP/1.1 204 No Content\r\n\r\n"],
  ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"],
])("an answer to %s that has no body ends with its head: %s", async (method, answer) => {
  const pod = await startRawPod(answerEach(answer));
  const served = await serve([pod]);
  const request = `${method} / HTTP/1.1\r\nHost: x\r\n\r\n`;
  const client = await RawClient.open(served, request + request);
  await vi.waitFor(() => expect(client.received.match(/HTTP\/1\.1 [23]0/g)).toHaveLength(2));
  expect(client.received).toMatch(/\r\n\r\n$/);
  expect(client.received.match(/Content-Length: 500/g)?.length ?? 0).toBe(answer.includes("500") ? 2 : 0);
  expect(pod.connections).toHaveLength(1);
});

test("an answer that comes before the body is whole doesn't cut the body off, and both go on", async () => {
  const pod = await startPod("echo", { handle: (request, response) => void request.pipe(response) });
  const served = await serve([pod]);
  const client = await RawClient.open(served, post("Transfer-Encoding: chunked", "3\r\none\r\n"));
  await vi.waitFor(() => expect(client.received).toMatch(/one/));
  client.socket.write("3\r\ntwo\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/two/));
  client.socket.write("0\r\n\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/0\r\n\r\n$/));
});

test("a large body arrives whole, whatever its pieces", async () => {
  const pod = await startPod("echo", { handle: (request, response) => void request.pipe(response) });
  const served = await serve([pod]);
  const body = Array.from({ length: 300_000 }, (_, index) => index.toString(36)).join();
  expect((await send(served, { method: "POST", body })).body === body).toBe(true);
  expect(served.requests()[0]?.bytesIn).toBeGreaterThanOrEqual(body.length);
  expect(served.requests()[0]?.bytesOut).toBeGreaterThanOrEqual(body.length);
});

describe("a pod whose answer is", () => {
  test.each([
    ["malformed after its head", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n", 502],
    [
      "malformed in its second piece",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n|zz\r\n",
      200,
    ],
    ["too short for its length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc|", 200],
    ["without its last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n|", 200],
  ])("%s is broken off at the client, and never ends as if it were whole", async (_what, answer, status) => {
    const [first = "", second] = answer.split("|");
    const pod = await startRawPod(({ socket }) => socket.write(first));
    const served = await serve([pod]);
    const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    if (second !== undefined) {
      await vi.waitFor(() => expect(client.received).toMatch(/abc/));
      pod.connections[0]?.socket.end(second);
    }
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true));
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    if (status === 200) expect(client.received).toMatch(/abc(?:\r\n)?$/);
    expect(served.requests()).toMatchObject([{ outcome: "pod-closed", status }]);
  });

  test("ended by a reset, where only the end says that it is whole, is reset at the client", async () => {
    const pod = await startRawPod(({ socket }) => socket.write("HTTP/1.1 200 OK\r\n\r\nabc"));
    const served = await serve([pod]);
    const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    const error = once(client.socket, "error");
    await vi.waitFor(() => expect(client.received).toMatch(/abc/));
    pod.connections[0]?.socket.resetAndDestroy();
    await expect(error).resolves.toMatchObject([{ code: "ECONNRESET" }]);
  });
});
