import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RawClient, upgradeHead } from "../../test/clients.ts";
import { modelOf, SERVICE } from "../../test/models.ts";
import { echo, startPod } from "../../test/pods.ts";
import { pump } from "../../test/pump.ts";
import { cleanUp, serve } from "../../test/serve.ts";
import { webSocketEcho } from "../../test/web-socket-echo.ts";

afterEach(cleanUp);

const COOKIE = { type: "GENERATED_COOKIE", ttlSec: 0 } as const;

/** A pod that accepts any upgrade and leaves the socket to the test. */
async function openPod(name = "web") {
  const sockets: Socket[] = [];
  const pod = await startPod(name, {
    upgrade: (_request, socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.on("end", () => socket.end());
      socket.resume();
      sockets.push(socket as Socket);
    },
  });
  return { pod, sockets };
}

test("relays a WebSocket of Node's own client, both ways", async () => {
  const pod = await startPod("web", { upgrade: webSocketEcho });
  const served = await serve([pod]);
  const socket = new WebSocket(`ws://${served.host}:${served.port}/chat`);
  await once(socket, "open");
  const answer = once(socket, "message");
  socket.send("hello");
  expect(((await answer)[0] as MessageEvent).data).toBe("hello");
  socket.close();
  await once(socket, "close");
  await vi.waitFor(() =>
    expect(served.events.map(({ type }) => type)).toEqual(["request", "upgrade-closed"]),
  );
  expect(served.events[0]).toMatchObject({ outcome: "answered", status: 101, pod: "web" });
});

test("gives the pod the client's head with the forwarding fields, and the client a cookie on the 101", async () => {
  const { pod } = await openPod();
  const served = await serve([pod], { model: modelOf(COOKIE) });
  const client = await RawClient.open(
    served,
    upgradeHead(["Sec-WebSocket-Key: abc", "X-Forwarded-For: 1.1.1.1"]),
  );
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\n/));
  expect(client.received).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
  expect(client.received).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/);
  expect(client.received).toMatch(/\r\nSet-Cookie: GCLB=[\w-]+; path=\/; HttpOnly\r\n/);
  expect(client.received).toMatch(/\r\nVia: 1\.1 google\r\n/);
  expect(pod.seen[0]?.headers).toMatchObject({
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-key": "abc",
    "x-forwarded-for": "1.1.1.1,127.0.0.1,127.0.0.1",
    "x-forwarded-proto": "http",
    via: "1.1 google",
  });
});

test("loses no byte that either side sends right after its head", async () => {
  const pod = await startPod("web", { upgrade: echo("web") });
  const served = await serve([pod]);
  const client = await RawClient.open(served, `${upgradeHead()}early`);
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\nweb:early$/));
});

test("holds the pod back while the client does not read, and loses nothing", async () => {
  const total = 64 * 1024 * 1024;
  const { pod, sockets } = await openPod();
  const served = await serve([pod]);
  const client = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\n$/));
  const head = client.received.length;
  client.socket.pause();
  const [socket] = sockets;
  if (!socket) throw new Error("no socket");
  const source = pump(socket, total);
  await source.stalled();
  expect(source.accepted()).toBeLessThan(total / 2);
  client.socket.resume();
  await vi.waitFor(() => expect(client.ended).toBe(true), 10_000);
  expect(client.received.length - head).toBe(total);
});

test("passes on the end of one half and keeps the other open", async () => {
  const { pod, sockets } = await openPod();
  const served = await serve([pod]);
  const client = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(sockets.length).toBe(1));
  const [socket] = sockets;
  if (!socket) throw new Error("no socket");
  let heard = "";
  socket.on("data", (chunk: Buffer) => {
    heard += chunk.toString();
  });
  socket.end("bye");
  await vi.waitFor(() => expect(client.ended).toBe(true));
  expect(client.received).toMatch(/bye$/);
  client.socket.end("after you");
  await vi.waitFor(() => expect(heard).toBe("after you"));
  await vi.waitFor(() => expect(served.events.at(-1)).toMatchObject({ type: "upgrade-closed" }));
});

test.each(["client", "pod"] as const)("a %s that is reset ends the other side", async (side) => {
  const { pod, sockets } = await openPod();
  const served = await serve([pod]);
  const client = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\n/));
  (side === "client" ? client.socket : sockets[0])?.resetAndDestroy();
  await vi.waitFor(() => expect(client.closed || client.ended).toBe(true));
  await vi.waitFor(() => expect(pod.connections.size).toBe(0));
  expect(served.events.at(-1)).toMatchObject({ type: "upgrade-closed", cause: side });
});

test("ends the connection at the backend service's timeout, without a closing frame, though it is in use", async () => {
  const pod = await startPod("web", { upgrade: echo("web") });
  const served = await serve([pod], { model: modelOf({ type: "NONE" }, { timeoutSec: 1 }) });
  const client = await RawClient.open(served, upgradeHead());
  const busy = setInterval(() => client.socket.write("."), 20);
  await vi.waitFor(() => expect(client.ended || client.closed).toBe(true), 3000);
  clearInterval(busy);
  expect(client.received).toMatch(/\r\n\r\nweb:\.*$/);
  expect(served.events.at(-1)).toMatchObject({ type: "upgrade-closed", cause: "timeout" });
  await vi.waitFor(() => expect(pod.connections.size).toBe(0));
});

test("answers 504 when the pod does not answer the handshake in that time", async () => {
  const pod = await startPod("web", { upgrade: () => {} });
  const served = await serve([pod], { model: modelOf({ type: "NONE" }, { timeoutSec: 1 }) });
  const client = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(client.ended).toBe(true), 3000);
  expect(client.received).toMatch(/^HTTP\/1\.1 504 /);
});

describe("a pod that declines", () => {
  test("has its answer relayed, and the connection closed", async () => {
    const pod = await startPod("web", {
      upgrade: (_request, socket) => {
        socket.end(
          "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
        );
      },
    });
    const served = await serve([pod], { model: modelOf(COOKIE) });
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.ended).toBe(true));
    expect(client.received).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nX-A: 1\r\nX-A: 2\r\n/);
    expect(client.received).toMatch(/Set-Cookie: GCLB=/);
    expect(client.received).toMatch(/Connection: close\r\n\r\n3\r\nbad\r\n0\r\n\r\n$/);
    await vi.waitFor(() => expect(served.events).toMatchObject([{ outcome: "answered", status: 400 }]));
  });

  test("and dies in the middle of it is seen to have", async () => {
    const pod = await startPod("web", {
      upgrade: (_request, socket) => {
        const begun = "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\nhalf";
        socket.write(begun, () => socket.destroy());
      },
    });
    const served = await serve([pod]);
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true));
    expect(served.events).toMatchObject([{ outcome: "pod-closed", status: 400 }]);
  });
});

test("tries another pod until one has agreed", async () => {
  const refusing = await startPod("gone", { address: "127.0.0.2" });
  await refusing.kill();
  const resetting = createServer((socket) => {
    socket.once("data", () => socket.resetAndDestroy());
  });
  await new Promise<void>((resolve) => resetting.listen(0, "127.0.0.3", resolve));
  const address = resetting.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const good = await startPod("good", { address: "127.0.0.4", upgrade: echo("good") });
  const served = await serve([], { model: modelOf(COOKIE) });
  served.ingress.setEndpoints(SERVICE, [
    refusing.endpoint,
    { address: "127.0.0.3", port, pod: "resetting", healthy: true },
    good.endpoint,
  ]);
  for (let round = 0; round < 6; round++) {
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.received).toMatch(/ 101 .*\r\n\r\ngood:$/s));
    client.socket.destroy();
  }
  await new Promise((resolve) => resetting.close(resolve));
});

test("refuses to upgrade a request with a body, and relays offers of other protocols as plain requests", async () => {
  const pod = await startPod("web", { upgrade: echo("web") });
  const served = await serve([pod]);
  const withBody = await RawClient.open(served, upgradeHead(["Content-Length: 3"]));
  await vi.waitFor(() => expect(withBody.received).toMatch(/^HTTP\/1\.1 400 /));
  const other = await RawClient.open(
    served,
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
  );
  await vi.waitFor(() => expect(other.received).toMatch(/^HTTP\/1\.1 200 OK.*\r\n\r\nweb$/s));
  expect(pod.seen[0]?.headers).not.toHaveProperty("upgrade");
});
