import { EventEmitter, once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket as ServerSocket } from "socket.io";
import { io as connect, type ManagerOptions, type SocketOptions } from "socket.io-client";
import { afterEach, expect, it } from "vitest";
import { type FanOutServer, startServer } from "../../test/fan-out-server.ts";
import { slimConnections } from "./handshake-request.ts";
import { SharedTexts } from "./shared-texts.ts";

let closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const closer of closers.reverse()) await closer();
  closers = [];
});

async function serve(): Promise<FanOutServer> {
  const server = await startServer();
  closers.push(() => server.close());
  slimConnections(server.io.engine);
  return server;
}

async function join(
  server: FanOutServer,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<ServerSocket> {
  const name = `${Math.random()}`;
  const client = connect(server.url, {
    ...{ forceNew: true, transports: ["websocket"], auth: { name }, query: { page: "1" } },
    ...{ extraHeaders: { "user-agent": "test", cookie: "a=b" } },
    ...options,
  });
  closers.push(() => client.disconnect());
  return server.socket(name);
}

it.each([[["websocket"]], [["polling", "websocket"]]])(
  "keeps what the documentation tells of a request that began with %s, and no more",
  async (transports) => {
    const server = await serve();
    const socket = await join(server, { transports });
    if (transports.length > 1) await once(socket.conn, "upgrade");
    const { request, handshake } = socket;
    expect(request.headers).toMatchObject({ "user-agent": "test", cookie: "a=b" });
    expect(request.headers).toBe(handshake.headers);
    expect(request.url).toContain("/socket.io/?page=1&EIO=4&transport=");
    expect(request.method).toBe("GET");
    expect(handshake.query).toMatchObject({ page: "1", EIO: "4" });
    expect(request.connection.remoteAddress).toBe("127.0.0.1");
    expect(handshake.address).toBe("127.0.0.1");
    expect(request.rawHeaders).toBeUndefined();
    expect(request.readable).toBe(false);
    request.on("close", () => {});
    request.resume();
    request.destroy();
    expect(socket.connected).toBe(true);
  },
);

it("keeps what a middleware has put on it, and tells the response's end where there is one", async () => {
  const server = await serve();
  let ended = 0;
  server.io.engine.use(
    (request: IncomingMessage & { user?: string }, response: NodeJS.EventEmitter, next: () => void) => {
      request.user = "mia";
      response.on("close", () => ended++);
      next();
    },
  );
  const socket = await join(server);
  expect((socket.request as IncomingMessage & { user?: string }).user).toBe("mia");
  socket.disconnect(true);
  await expect.poll(() => ended).toBe(1);
});

it("hears of an error of the WebSocket as before, and of nothing after the end", async () => {
  const server = await serve();
  const socket = await join(server);
  const reason = once(socket, "disconnect");
  const { transport } = socket.conn as unknown as { transport: { socket: NodeJS.EventEmitter } };
  transport.socket.emit("error", new Error("a broken frame"));
  expect(await reason).toEqual([
    "transport error",
    expect.objectContaining({ message: "Error: a broken frame" }),
  ]);
  expect(() => transport.socket.emit("error", new Error("once more"))).not.toThrow();
  expect(server.io.engine.clientsCount).toBe(0);
});

it("leaves a request whole that somebody listens to", async () => {
  const server = await startServer();
  closers.push(() => server.close());
  server.io.engine.on("connection", ({ request }: { request: IncomingMessage }) =>
    request.on("close", () => {}),
  );
  slimConnections(server.io.engine);
  expect((await join(server)).request.rawHeaders).toContain("Upgrade");
});

it("leaves connections as they are where Engine.IO is not as it was known", async () => {
  const engine = new EventEmitter();
  slimConnections(engine);
  const server = await startServer();
  closers.push(() => server.close());
  server.io.engine.on("connection", (connection: object) =>
    engine.emit("connection", Object.create(connection, { writeBuffer: { value: undefined } })),
  );
  const socket = await join(server);
  expect(socket.request.rawHeaders).toContain("Upgrade");
  expect(socket.conn.transport.listenerCount("headers")).toBeGreaterThan(0);
});

it("keeps equal texts once, and only so many", () => {
  const texts = new SharedTexts();
  for (let n = 0; n < 3_000; n++) expect(texts.share(`text ${n}`)).toBe(`text ${n}`);
  expect(texts.share("x".repeat(1_000))).toBe("x".repeat(1_000));
});
