import { afterEach, expect, test, vi } from "vitest";
import { RawClient, send } from "../../test/clients.ts";
import { SERVICE } from "../../test/models.ts";
import { startPod } from "../../test/pods.ts";
import { answerEach, startRawPod } from "../../test/raw-pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

const get = (path: string, ...fields: string[]) =>
  [`GET ${path} HTTP/1.1`, "Host: x", ...fields, "\r\n"].join("\r\n");

/** The bodies of answers that say their length, as they stand in a row. */
function bodiesIn(text: string): string[] {
  const bodies: string[] = [];
  for (let rest = text; rest !== ""; ) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    const length = Number(/^content-length: (\d+)/im.exec(rest.slice(0, end))?.[1]);
    bodies.push(rest.slice(end, end + length));
    rest = rest.slice(end + length);
  }
  return bodies;
}

test("answers requests that were sent ahead one after another, in their order", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      // The first ones take longest.
      setTimeout(() => response.end(request.url), 20 - Number(request.url?.slice(1)));
    },
  });
  const served = await serve([pod]);
  const paths = Array.from({ length: 20 }, (_, index) => `/${index}`);
  const client = await RawClient.open(served, paths.map((path) => get(path)).join(""));
  await vi.waitFor(() => expect(bodiesIn(client.received)).toEqual(paths), 5_000);
  expect(pod.connections.size).toBe(1);
});

test("reads requests with and without bodies in whatever pieces they come", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      let body = "";
      request.setEncoding("latin1").on("data", (text: string) => {
        body += text;
      });
      request.on("end", () => response.end(`${request.url} ${body}`));
    },
  });
  const served = await serve([pod]);
  const bytes = [
    get("/1"),
    "\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "POST /3 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    get("/4"),
  ].join("");
  const client = await RawClient.open(served);
  for (const byte of bytes) {
    client.socket.write(byte);
    await new Promise(setImmediate);
  }
  await vi.waitFor(
    () => expect(bodiesIn(client.received)).toEqual(["/1 ", "/2 hello", "/3 abcde", "/4 "]),
    5_000,
  );
});

test("keeps a connection after its own answers, and ends it where the client wants that", async () => {
  const served = await serve([await startPod("web")]);
  served.ingress.setEndpoints(SERVICE, []);
  const client = await RawClient.open(served, get("/1") + get("/2", "Connection: close") + get("/3"));
  await vi.waitFor(() => expect(client.ended).toBe(true));
  const answers = client.received.match(/HTTP\/1\.1 502 /g);
  expect(answers).toHaveLength(2);
  expect(client.received.match(/Connection: close/g)).toHaveLength(1);
});

test("many requests that are answered here leave others their turn", async () => {
  const served = await serve([]);
  const client = await RawClient.open(served, get("/").repeat(1000));
  await vi.waitFor(() => expect(client.received.match(/HTTP\/1\.1 502 /g)).toHaveLength(1000), 5_000);
});

test("does not use a connection again that the pod means to close", async () => {
  const pod = await startRawPod(
    answerEach("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
  );
  const served = await serve([pod]);
  for (let round = 0; round < 3; round++) expect((await send(served)).body).toBe("ok");
  expect(pod.connections).toHaveLength(3);
  await vi.waitFor(() => expect(pod.connections.every(({ ended }) => ended)).toBe(true));
});

test("takes nothing for an answer that came before its question", async () => {
  const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
  const pod = await startRawPod(answerEach(`${good}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`));
  const served = await serve([pod]);
  for (let round = 0; round < 3; round++) expect((await send(served)).body).toBe("good");
});

test("closes a connection over which a pod speaks without being asked", async () => {
  const pod = await startRawPod(answerEach("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  const served = await serve([pod]);
  await send(served);
  pod.connections[0]?.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  await vi.waitFor(() => expect(pod.connections[0]?.ended).toBe(true));
  expect((await send(served)).body).toBe("ok");
});

test("an idle client connection ends after its time, without a word", async () => {
  const served = await serve([await startPod("web")], { clientIdleTimeoutMs: 200 });
  const client = await RawClient.open(served, get("/"));
  await vi.waitFor(() => expect(client.received).toMatch(/web$/));
  await vi.waitFor(() => expect(client.closed || client.ended).toBe(true), 5_000);
  expect(client.received).toMatch(/web$/);
  expect(served.events.filter(({ type }) => type === "refused")).toEqual([]);
});

test("serves clients of HTTP/1.0, and keeps their connections where they ask for it", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      if (request.url === "/chunked") response.write("in ");
      response.end(request.url === "/chunked" ? "chunks" : "whole");
    },
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  await vi.waitFor(() => expect(client.received).toMatch(/Connection: keep-alive\r\n\r\nwhole$/));
  client.received = "";
  client.socket.write("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  await vi.waitFor(() => expect(client.ended).toBe(true));
  expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(client.received).not.toMatch(/Transfer-Encoding/i);
  expect(client.received).toMatch(/Connection: close\r\n\r\nin chunks$/);
});

test("answers all that a client has sent before it ended its half, and then ends the connection", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => setTimeout(() => response.end(`<${request.url}>`), 50),
  });
  const served = await serve([pod]);
  const client = await RawClient.open(
    served,
    `${get("/1")}${get("/2")}${get("/nowhere")}${get("/3")}GET /4 HT`,
  );
  client.socket.end();
  await vi.waitFor(() => expect(client.closed).toBe(true), 5_000);
  expect(client.received.match(/<[^>]*>/g)).toEqual(["</1>", "</2>", "</nowhere>", "</3>"]);
});

test("an answer that has begun goes on after the client has ended its half", async () => {
  const pod = await startPod("web", {
    handle: (_request, response) => {
      let part = 0;
      const timer = setInterval(() => {
        response.write(`<${part++}>`);
        if (part < 8) return;
        clearInterval(timer);
        response.end();
      }, 200);
    },
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served, get("/"));
  await vi.waitFor(() => expect(client.received).toMatch(/<0>/));
  client.socket.end();
  await vi.waitFor(() => expect(client.closed).toBe(true), 5_000);
  expect(client.received).toMatch(/<7>\r\n0\r\n\r\n$/);
});

test("takes a client that has ended its half for one that left when nothing of an answer comes, and tells the pod", async () => {
  let left = false;
  const pod = await startPod("web", {
    handle: (_request, response) => response.once("close", () => (left = true)),
  });
  const served = await serve([pod]);
  const client = await RawClient.open(served, get("/"));
  await vi.waitFor(() => expect(pod.seen.length).toBe(1));
  client.socket.end();
  await vi.waitFor(() => expect([client.closed, left]).toEqual([true, true]), 5_000);
  expect(served.requests()).toEqual([expect.objectContaining({ outcome: "client-closed", status: 0 })]);
});

test.each([
  ["a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"],
  ["a head", "GET / HTTP/1.1\r\nHos"],
])("closes at once when %s will never be whole", async (_what, bytes) => {
  const served = await serve([await startPod("web")]);
  const client = await RawClient.open(served, bytes);
  client.socket.end();
  await vi.waitFor(() => expect(client.closed).toBe(true));
  expect(client.received).toBe("");
});

test("says while it closes that a connection ends with its answer", async () => {
  let finish = () => {};
  const pod = await startPod("web", {
    handle: (_request, response) => {
      finish = () => response.end("done");
    },
  });
  const served = await serve([pod]);
  const idle = await RawClient.open(served);
  const client = await RawClient.open(served, get("/"));
  await vi.waitFor(() => expect(pod.seen.length).toBe(1));
  const closed = served.ingress.close({ graceMs: 10_000 });
  await vi.waitFor(() => expect(idle.closed || idle.ended).toBe(true));
  finish();
  await vi.waitFor(() => expect(client.received).toMatch(/Connection: close\r\n\r\ndone$/));
  client.socket.end();
  await closed;
});
