import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RawClient, send } from "../../test/clients.ts";
import { modelOf } from "../../test/models.ts";
import { startPod } from "../../test/pods.ts";
import { type Pump, pump } from "../../test/pump.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

/** Far more than the kernel and the relay hold. */
const TOTAL = 64 * 1024 * 1024;
const oneSecond = modelOf({ type: "NONE" }, { timeoutSec: 1 });

test("relays method, target, fields and body as they are, and says who forwarded them", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      response.writeHead(201, "Made", ["X-One", "1", "Set-Cookie", "a=1", "Set-Cookie", "b=2", "x-one", "2"]);
      request.pipe(response);
    },
  });
  const served = await serve([pod]);
  const answer = await send(served, {
    method: "PUT",
    path: "/a%20b?c=d",
    headers: {
      Host: "example.com",
      "X-Two": ["1", "2"],
      "X-Forwarded-For": "1.1.1.1",
      "Content-Length": "5",
    },
    body: "hello",
  });
  expect(answer).toMatchObject({ status: 201, body: "hello" });
  expect(answer.rawHeaders.slice(0, 8)).toEqual([
    "X-One",
    "1",
    "Set-Cookie",
    "a=1",
    "Set-Cookie",
    "b=2",
    "x-one",
    "2",
  ]);
  expect(answer.headers.via).toBe("1.1 google");
  const [seen] = pod.seen;
  expect(seen).toMatchObject({ method: "PUT", url: "/a%20b?c=d" });
  expect(seen?.headers).toMatchObject({
    host: "example.com",
    "content-length": "5",
    "x-forwarded-for": "1.1.1.1,127.0.0.1,127.0.0.1",
    "x-forwarded-proto": "http",
    via: "1.1 google",
    "x-two": "1, 2",
  });
});

test("serves many requests of one client over one connection to the pod", async () => {
  const pod = await startPod("web");
  const served = await serve([pod]);
  for (let round = 0; round < 5; round++)
    expect((await send(served, { method: "POST", body: "x" })).body).toBe("web");
  expect(pod.connections.size).toBe(1);
});

test.each(["GET", "HEAD", "POST", "DELETE", "OPTIONS"])("relays %s without a body", async (method) => {
  const pod = await startPod("web");
  const served = await serve([pod]);
  const answer = await send(served, { method });
  expect(answer).toMatchObject({ status: 200, body: method === "HEAD" ? "" : "web" });
  expect(pod.seen[0]?.headers["transfer-encoding"]).toBeUndefined();
});

test("relays a body of unknown length with any method, and never as two requests", async () => {
  const pod = await startPod("web", { handle: (request, response) => request.pipe(response) });
  const served = await serve([pod]);
  const client = await RawClient.open(
    served,
    "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close, content-length\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  );
  await vi.waitFor(() => expect(client.received).toMatch(/hello/));
  expect(pod.seen.length).toBe(1);
});

test("passes each part of an answer on as it comes", async () => {
  let write = (_text: string) => {};
  const pod = await startPod("web", {
    handle: (_request, response) => {
      response.flushHeaders();
      write = (text) => response.write(text);
    },
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/^HTTP\/1\.1 200 OK/));
  write("one");
  await vi.waitFor(() => expect(client.received).toMatch(/one/));
  write("two");
  await vi.waitFor(() => expect(client.received).toMatch(/two/));
});

test("holds the pod back while the client does not read, and loses nothing", async () => {
  let source: Pump | undefined;
  const pod = await startPod("web", {
    handle: (_request, response) => {
      source = pump(response, TOTAL);
    },
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served);
  client.socket.pause();
  client.socket.write("GET / HTTP/1.0\r\n\r\n");
  await vi.waitFor(() => expect(source).toBeDefined());
  await source?.stalled();
  expect(source?.accepted()).toBeLessThan(TOTAL / 2);
  client.socket.resume();
  await vi.waitFor(() => expect(client.ended).toBe(true), 10_000);
  expect(client.received.length - client.received.indexOf("\r\n\r\n") - 4).toBe(TOTAL);
});

test("holds the client back while the pod does not read", async () => {
  const pod = await startPod("web", { handle: () => {} });
  const served = await serve([pod]);
  const upload = httpRequest({ ...served, method: "POST", agent: false });
  upload.on("error", () => {});
  const source = pump(upload, TOTAL);
  await source.stalled();
  expect(source.accepted()).toBeLessThan(TOTAL / 2);
  upload.destroy();
});

test("a client that leaves ends the request at the pod", async () => {
  const pod = await startPod("web", { handle: (_request, response) => response.write("begun") });
  const served = await serve([pod]);
  const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/begun/));
  client.socket.destroy();
  await vi.waitFor(() => expect(pod.connections.size).toBe(0), 5_000);
  expect(served.events).toMatchObject([{ outcome: "client-closed", status: 200 }]);
});

test("an answer that breaks off at the pod breaks off at the client, and does not look whole", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      response.write("half", () => request.socket.destroy());
    },
  });
  const served = await serve([pod]);
  await expect(send(served)).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(served.events).toMatchObject([{ outcome: "pod-closed", status: 200 }]);
});

describe("the backend service's timeout", () => {
  test("is answered with 504 where no answer has begun", async () => {
    const pod = await startPod("web", { handle: () => {} });
    const served = await serve([pod], { model: oneSecond });
    expect((await send(served)).status).toBe(504);
    expect(served.events).toMatchObject([{ outcome: "timeout", status: 504 }]);
    await vi.waitFor(() => expect(pod.connections.size).toBe(0));
  });

  test("breaks off an answer that has", async () => {
    const pod = await startPod("web", { handle: (_request, response) => response.write("begun") });
    const served = await serve([pod], { model: oneSecond });
    await expect(send(served)).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(served.events).toMatchObject([{ outcome: "timeout", status: 200 }]);
  });

  test("bounds a body that never ends, though the request is answered", async () => {
    const pod = await startPod("web");
    const served = await serve([pod], { model: oneSecond });
    const client = await RawClient.open(served, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx");
    await vi.waitFor(() => expect(client.received).toMatch(/web$/));
    await vi.waitFor(() => expect(client.ended).toBe(true), 3000);
  });

  test("does not fire at once when it is longer than a timer can be", async () => {
    const served = await serve([await startPod("web")], {
      model: modelOf({ type: "NONE" }, { timeoutSec: 2_147_483_647 }),
    });
    expect((await send(served)).body).toBe("web");
  });
});

describe("a hostile client", () => {
  const cases: [what: string, bytes: string, status: number][] = [
    [
      "both a length and chunks",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400],
    ["a length that is none", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", 400],
    [
      "another transfer coding",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      501,
    ],
    ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["a host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400],
    ["a host with a line's worth of blanks", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
    ["another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
    ["a blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400],
    ["a folded line", "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n X-B: 2\r\n\r\n", 400],
    ["a zero byte", "GET / HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n", 400],
    ["no HTTP at all", "\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n", 400],
    ["too large a head", `GET / HTTP/1.1\r\nHost: x\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`, 431],
  ];

  test.each(cases)(
    "that sends %s is answered and cut off, and reaches no pod",
    async (_what, bytes, status) => {
      const pod = await startPod("web");
      const served = await serve([pod]);
      const client = await RawClient.open(served, bytes);
      await vi.waitFor(() => expect(client.ended).toBe(true));
      expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(served.events).toContainEqual(expect.objectContaining({ type: "refused", status }));
      expect(pod.seen.length).toBe(0);
      expect((await send(served)).body).toBe("web");
    },
  );

  test("that follows a request with nonsense is told so after the answer, not in the middle of it", async () => {
    let finish = () => {};
    const pod = await startPod("web", {
      handle: (_request, response) => {
        response.write("begun");
        finish = () => response.end("over");
      },
    });
    const served = await serve([pod]);
    const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(client.received).toMatch(/begun/));
    client.socket.write("nonsense\r\n\r\n", finish);
    await vi.waitFor(() => expect(client.ended).toBe(true));
    expect(client.received).toMatch(/begun.*over\r\n0\r\n\r\nHTTP\/1\.1 400 /s);
  });

  test("that takes too long for a head is cut off", async () => {
    const served = await serve([await startPod("web")], { headersTimeoutMs: 200 });
    const client = await RawClient.open(served, "GET / HTTP/1.1\r\nHost:");
    await vi.waitFor(() => expect(client.ended).toBe(true), 5000);
    expect(client.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(served.events).toMatchObject([{ type: "refused", cause: "head-timeout", status: 408 }]);
  });

  test("that sends requests without end is read no further while one is open", async () => {
    const pod = await startPod("web", { handle: () => {} });
    const served = await serve([pod]);
    const client = await RawClient.open(served);
    const source = pump(client.socket, TOTAL, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000)));
    await source.stalled();
    expect(source.accepted()).toBeLessThan(TOTAL / 2);
    expect(pod.seen.length).toBe(1);
    client.socket.destroy();
  });

  test("that opens too many connections has the last ones closed", async () => {
    const served = await serve([await startPod("web")], { maxConnections: 2 });
    await RawClient.open(served);
    const second = await RawClient.open(served);
    const third = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(third.closed || third.ended).toBe(true));
    expect(third.received).toBe("");
    expect(served.events).toMatchObject([{ type: "refused", cause: "too-many-connections" }]);
    second.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(second.received).toMatch(/web$/));
  });
});

describe("a pod that answers", () => {
  const answering = (bytes: string) =>
    startPod("web", { handle: (request) => request.socket.end(bytes, "latin1") });

  test.each([
    ["no HTTP", "hello\r\n\r\n"],
    [
      "both a length and chunks",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["too large a head", `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(20_000)}\r\n\r\n`],
    [
      "an upgrade that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ],
    ["nothing", ""],
  ])("%s is answered for with 502, and asked once only", async (_what, bytes) => {
    const pod = await answering(bytes);
    const served = await serve([pod]);
    expect((await send(served, { method: "POST", body: "x" })).status).toBe(502);
    expect(pod.seen.length).toBe(1);
    expect(served.events).toMatchObject([{ outcome: "pod-closed", status: 502 }]);
  });

  test("without saying how long, its end is the body's end", async () => {
    const served = await serve([await answering("HTTP/1.1 200 OK\r\n\r\nall of it")]);
    expect(await send(served)).toMatchObject({ status: 200, body: "all of it" });
  });

  test("before it has read the body, its answer arrives", async () => {
    const pod = await startPod("web", {
      handle: (_request, response) => response.writeHead(413, { Connection: "close" }).end("too large"),
    });
    const served = await serve([pod]);
    const upload = httpRequest({ ...served, method: "POST", agent: false });
    upload.on("error", () => {});
    upload.write(Buffer.alloc(1 << 16));
    const [response] = await once(upload, "response");
    expect(response.statusCode).toBe(413);
    upload.destroy();
  });
});
