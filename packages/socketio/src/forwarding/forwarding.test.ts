import { createHmac } from "node:crypto";
import { createServer, type Server as HttpServer, type IncomingHttpHeaders, request } from "node:http";
import { type AddressInfo, connect as connectTcp, type Socket as TcpSocket } from "node:net";
import { text } from "node:stream/consumers";
import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { Server, type ServerOptions } from "socket.io";
import { io as connect, type Socket } from "socket.io-client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RoundRobin, roundRobin } from "../../test/round-robin.ts";
import { Membership } from "../cluster/membership.ts";
import { nodeToken } from "../session-id.ts";
import { adoptEngine, type ForwardingEvent } from "./adopt-engine.ts";
import { type ForwardingCounters, zeroForwardingCounters } from "./counters.ts";
import type { EngineServer } from "./engine.ts";
import { signSessionId } from "./signed-session-id.ts";

interface Node {
  readonly name: string;
  readonly http: HttpServer;
  readonly io: Server;
  readonly membership: Membership;
  readonly counters: ForwardingCounters;
  readonly events: ForwardingEvent[];
  readonly port: number;
  readonly url: string;
  /** Heads of all requests that its engine was given. */
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
  /** Ends as SIGKILL would: its connections are gone, its lease is not. */
  kill(): void;
}

let closers: (() => unknown)[];
let broker: Broker;
beforeEach(() => {
  broker = openEmbeddedBroker();
  closers = [() => broker.close()];
});
afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

async function startNode(
  name: string,
  {
    server = {},
    ...options
  }: { server?: Partial<ServerOptions>; maxForwarding?: number; ttlMs?: number } = {},
): Promise<Node> {
  const http = createServer();
  const io = new Server(http, { ...server });
  const counters = zeroForwardingCounters();
  const events: ForwardingEvent[] = [];
  const { ttlMs = 15_000, ...forwarding } = options;
  const membership = new Membership({ broker, node: name, ttlMs });
  const adopted = adoptEngine(io.engine as unknown as EngineServer, {
    membership,
    http,
    counters,
    ...forwarding,
    onEvent: (event) => events.push(event),
  });
  const seen: Node["seen"][number][] = [];
  io.engine.use((req: { url: string; headers: IncomingHttpHeaders }, _res: unknown, next: () => void) => {
    seen.push({ url: req.url, headers: req.headers });
    next();
  });
  io.on("connection", (socket) => {
    socket.on("who", (answer: (name: string) => void) => answer(name));
    socket.on("echo", (value: unknown, answer: (value: unknown) => void) => answer(value));
  });
  const open = new Set<TcpSocket>();
  http.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  const kill = () => {
    http.close();
    for (const socket of open) socket.resetAndDestroy();
  };
  closers.push(async () => {
    adopted.close();
    for (const socket of open) socket.destroy();
    await io.close();
    await membership.close();
  });
  return { name, http, io, membership, counters, events, port, url: `http://127.0.0.1:${port}`, seen, kill };
}

async function startNodes(count: number, options?: Parameters<typeof startNode>[1]) {
  const nodes = await Promise.all(Array.from({ length: count }, (_, n) => startNode(`web-${n}`, options)));
  await expect
    .poll(() => nodes.flatMap(({ membership }) => membership.nodes().filter(({ address }) => address)).length)
    .toBe(count * count);
  const proxy: RoundRobin = await roundRobin(nodes.map(({ port }) => port));
  closers.push(() => proxy.close());
  return { nodes, proxy, url: proxy.url };
}

type Nodes = Awaited<ReturnType<typeof startNodes>>["nodes"];
const sum = (nodes: Nodes, key: keyof ForwardingCounters) =>
  nodes.reduce((total, { counters }) => total + counters[key], 0);

function startClient(url: string, options: object = {}) {
  const socket = connect(url, {
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 50,
    ...options,
  });
  closers.push(() => socket.disconnect());
  const errors: string[] = [];
  socket.on("connect_error", ({ message }) => errors.push(message));
  socket.on("disconnect", (reason) => errors.push(reason));
  return { socket, errors };
}

const who = (socket: Socket): Promise<string> => socket.timeout(15_000).emitWithAck("who");
const connected = (socket: Socket) =>
  new Promise<void>((resolve) => (socket.connected ? resolve() : socket.once("connect", resolve)));

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

/** One request on a connection of its own. */
function send(
  url: string,
  options: { method?: string; body?: string; headers?: Record<string, string>; signal?: AbortSignal } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const req = request(url, { agent: false, ...rest }, (res) => {
      text(res).then(
        (read) => resolve({ status: res.statusCode ?? 0, body: read, headers: res.headers }),
        reject,
      );
    });
    req.once("error", reject);
    req.end(body);
  });
}

const poll = (base: string, sid = "", version = 4) =>
  `${base}/socket.io/?EIO=${version}&transport=polling${sid === "" ? "" : `&sid=${encodeURIComponent(sid)}`}`;

/** Begins a session as a client does, and reads its first packets. */
async function begin(node: Node): Promise<string> {
  const opened = await send(poll(node.url));
  const { sid } = JSON.parse(opened.body.slice(1)) as { sid: string };
  expect((await send(poll(node.url, sid), { method: "POST", body: "40" })).body).toBe("ok");
  expect((await send(poll(node.url, sid))).body).toContain("40{");
  return sid;
}

const sessionsOf = ({ io }: Node) => Object.keys((io.engine as unknown as EngineServer).clients);

const UNKNOWN = { status: 400, body: '{"code":1,"message":"Session ID unknown"}' };

describe("behind a balancer that sends every request to the next node", () => {
  it.each([
    ["polling", ["polling"]],
    ["polling that upgrades", ["polling", "websocket"]],
    ["websocket", ["websocket"]],
  ])(
    "50 clients keep their sessions: %s",
    async (_title, transports) => {
      const { nodes, url } = await startNodes(3);
      const clients = Array.from({ length: 50 }, () => startClient(url, { transports }));
      const first = await Promise.all(clients.map(({ socket }) => who(socket)));
      expect(new Set(first).size).toBe(3);
      if (transports.length === 2) {
        await expect
          .poll(() => new Set(clients.map(({ socket }) => socket.io.engine.transport.name)), {
            timeout: 10_000,
          })
          .toEqual(new Set(["websocket"]));
      }
      for (let round = 0; round < 3; round++)
        expect(await Promise.all(clients.map(({ socket }) => who(socket)))).toEqual(first);
      expect(clients.flatMap(({ errors }) => errors)).toEqual([]);
      const isForwarded = {
        requests: sum(nodes, "forwardedRequests") > 50,
        upgrades: sum(nodes, "forwardedUpgrades") > 10,
      };
      expect(isForwarded).toEqual({
        requests: transports.includes("polling"),
        upgrades: transports.length === 2,
      });
      for (const { events } of nodes) expect(events).toEqual([]);
      for (const { socket } of clients) socket.disconnect();
      await expect.poll(() => sum(nodes, "forwarding"), { timeout: 10_000 }).toBe(0);
    },
    30_000,
  );

  it.each([["polling"], ["websocket"]])(
    "bytes and large messages arrive whole, both ways, over %s",
    async (transport) => {
      const { nodes, url } = await startNodes(3);
      const { socket, errors } = startClient(url, { transports: ["polling", transport] });
      await connected(socket);
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
      const values = [
        bytes,
        "x".repeat(700_000),
        "ü\u2028\u{1f600}".repeat(50_000),
        { a: [bytes, "b", bytes] },
      ];
      for (const value of values) {
        const answer = await socket.timeout(10_000).emitWithAck("echo", value);
        expect(JSON.stringify(answer)).toBe(JSON.stringify(value));
      }
      expect(errors).toEqual([]);
      expect(sum(nodes, "forwardedRequests")).toBeGreaterThan(0);
    },
  );

  it("old clients (protocol 3) keep theirs", async () => {
    const { nodes } = await startNodes(2, { server: { allowEIO3: true } });
    const [one, two] = nodes as [Node, Node];
    const opened = await send(poll(one.url, "", 3));
    const sid = /"sid":"([^"]+)"/.exec(opened.body)?.[1] ?? "";
    expect((await send(poll(two.url, sid, 3))).status).toBe(200);
    expect(await send(poll(two.url, sid, 3), { method: "POST", body: "1:2" })).toMatchObject({ body: "ok" });
    expect((await send(poll(two.url, sid, 3))).body).toBe("1:3");
  });

  it("pages of other sites are answered with the owner's CORS headers, and preflights too", async () => {
    const origin = "https://page.example";
    const { nodes } = await startNodes(2, { server: { cors: { origin, credentials: true } } });
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    const headers = { Origin: origin, "Access-Control-Request-Method": "POST" };
    const preflight = await send(poll(two.url, sid), { method: "OPTIONS", headers });
    expect(preflight).toMatchObject({ status: 204, headers: { "access-control-allow-origin": origin } });
    const post = await send(poll(two.url, sid), { method: "POST", body: "2probe", headers });
    expect(post).toMatchObject({ status: 200, headers: { "access-control-allow-origin": origin } });
    const wrong = await send(poll(two.url, `${sid.slice(0, -1)}!`), { headers });
    expect(wrong).toMatchObject({ ...UNKNOWN, headers: { "access-control-allow-origin": origin } });
    expect(two.counters).toMatchObject({ forwardedRequests: 1, refusedForeign: 1 });
  });
});

describe("hands a request over", () => {
  it("with its own fields and the way that it came, and without those of its connection", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    one.seen.length = 0;
    const headers = {
      Host: "chat.example",
      Cookie: "a=b",
      "X-Forwarded-For": "192.0.2.7",
      Connection: "close, x-secret",
      "X-Secret": "1",
      Expect: "100-continue",
    };
    await send(`${poll(two.url, sid)}&t=%C3%A4`, { method: "POST", body: "3", headers });
    const [{ url, headers: got } = { url: "", headers: {} }] = one.seen;
    expect(url).toContain("&t=%C3%A4");
    expect(got).toMatchObject({
      host: "chat.example",
      cookie: "a=b",
      "x-forwarded-for": "192.0.2.7, 127.0.0.1",
      "x-holdfast-forwarded": two.membership.uid,
    });
    expect(got).not.toHaveProperty("x-secret");
    expect(got).not.toHaveProperty("expect");
  });

  it("once: one that was handed over already is answered where it is", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    const headers = { "X-Holdfast-Forwarded": "somebody" };
    expect(await send(poll(two.url, sid), { headers })).toMatchObject(UNKNOWN);
    expect(await send(poll(one.url, sid), { method: "POST", body: "3", headers })).toMatchObject({
      body: "ok",
    });
    expect(two.counters.forwardedRequests).toBe(0);
    // A record that points back here, as a wrong `address` would make: one hop, and an answer.
    await two.membership.announce({ address: one.url, path: "/socket.io/" });
    await expect.poll(() => one.membership.find(two.membership.token)?.address).toBe(one.url);
    const ofTwo = signSessionId(two.membership.token, two.membership.key);
    expect(await send(poll(one.url, ofTwo))).toMatchObject(UNKNOWN);
    expect(one.counters.forwardedRequests).toBe(1);
  });

  it("and ends the poll at its owner when the client goes away", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    const away = new AbortController();
    const polling = send(poll(two.url, sid), { signal: away.signal });
    await expect.poll(() => one.seen.filter(({ url }) => url.includes("sid")).length).toBe(3);
    expect(two.counters.forwarding).toBe(1);
    away.abort();
    await expect(polling).rejects.toThrow();
    await expect.poll(() => sessionsOf(one)).toEqual([]);
    expect(two.counters.forwarding).toBe(0);
    expect(two.events).toEqual([]);
  });

  it("refuses a body that is larger than a server takes, known before or found on the way", async () => {
    const { nodes } = await startNodes(2, { server: { maxHttpBufferSize: 10_000 } });
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    const known = { "Content-Length": "20000" };
    const body = `4${"x".repeat(19_999)}`;
    expect((await send(poll(two.url, sid), { method: "POST", body, headers: known })).status).toBe(413);
    expect(sessionsOf(one)).toEqual([sid]);
    const chunked = { "Transfer-Encoding": "chunked" };
    expect((await send(poll(two.url, sid), { method: "POST", body, headers: chunked })).status).toBe(413);
    await expect.poll(() => two.counters.forwarding).toBe(0);
  });

  it("does not let the body of a GET become the next request at the owner", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    one.seen.length = 0;
    const socket = connectTcp(two.port, "127.0.0.1");
    closers.push(() => socket.destroy());
    const smuggled = "GET /socket.io/?smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    const path = new URL(poll(two.url, sid)).pathname + new URL(poll(two.url, sid)).search;
    const chunk = `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}`);
    await expect.poll(() => one.seen.length).toBe(1);
    one.io.emit("news");
    await expect.poll(() => two.counters.forwarding).toBe(0);
    expect(one.seen.map(({ url }) => url)).toEqual([path]);
    expect(one.seen[0]?.headers).not.toHaveProperty("transfer-encoding");
  });

  it("says so with a 503 while as many are on their way as may be, and goes on afterwards", async () => {
    const { nodes } = await startNodes(2, { maxForwarding: 1 });
    const [one, two] = nodes as [Node, Node];
    const [sid, other] = [await begin(one), await begin(one)];
    const polling = send(poll(two.url, sid));
    await expect.poll(() => two.counters.forwarding).toBe(1);
    for (let n = 0; n < 2; n++) {
      const answer = await send(poll(two.url, other));
      expect(answer).toMatchObject({ status: 503 });
      expect(JSON.parse(answer.body)).toMatchObject({ code: "FORWARDS_TOO_MANY" });
    }
    expect(await upgrade(two, other)).toContain("503 Service Unavailable");
    expect(two.events).toEqual([{ type: "forward-limit", max: 1 }]);
    expect(two.counters.refusedTooMany).toBe(3);
    one.io.emit("news");
    expect((await polling).body).toContain("news");
    expect((await send(poll(two.url, other))).body).toContain("news");
  });
});

/** An upgrade by hand; resolves with the first bytes that come back. */
function upgrade(node: Node, sid: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(node.port, "127.0.0.1");
    closers.push(() => socket.destroy());
    socket.once("data", (data) => resolve(data.toString("latin1")));
    socket.once("error", reject);
    socket.once("close", () => resolve(""));
    socket.write(
      `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n` +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
  });
}

describe("an id that can't be right is answered as Socket.IO does, and goes nowhere", () => {
  it("whatever is wrong with it", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    const { token } = one.membership;
    const random = sid.slice(12, 32);
    const macWith = (key: Uint8Array, text: string) =>
      createHmac("sha256", key).update(text).digest().subarray(0, 12).toString("base64url");
    const crafted: [string, keyof ForwardingCounters][] = [
      [`${sid.slice(0, -1)}${sid.endsWith("A") ? "B" : "A"}`, "refusedNotIssued"],
      [`${token}.${random}.${"A".repeat(16)}`, "refusedNotIssued"],
      [`${token}.${random}.${macWith(two.membership.key, `${token}.${random}`)}`, "refusedNotIssued"],
      [signSessionId(token, Buffer.alloc(32)), "refusedNotIssued"],
      [signSessionId(nodeToken("nobody"), one.membership.key), "refusedOwnerGone"],
      [signSessionId(two.membership.token, two.membership.key), "refusedEnded"],
      [`${token}.${random}`, "refusedForeign"],
      [`${token}.${random}.${sid.slice(33)}x`, "refusedForeign"],
      [`${token}.http://127.0.0.1:1/.${sid.slice(33)}`, "refusedForeign"],
      ["127.0.0.1:22", "refusedForeign"],
      ["__proto__", "refusedForeign"],
      ["x".repeat(5_000), "refusedForeign"],
      [`${sid}\0`, "refusedForeign"],
      ["ü".repeat(30), "refusedForeign"],
    ];
    one.seen.length = 0;
    for (const [id, why] of crafted) {
      const before = two.counters[why];
      expect([id, await send(poll(two.url, id))]).toMatchObject([id, UNKNOWN]);
      expect([id, two.counters[why]]).toEqual([id, before + 1]);
      if (/^[\w.-]+$/.test(id)) expect(await upgrade(two, id)).toContain("Session ID unknown");
    }
    expect(one.seen).toEqual([]);
    // Of several, Engine.IO takes the last; so does forwarding.
    expect(await send(`${poll(two.url, sid)}&sid=x`)).toMatchObject(UNKNOWN);
    expect((await send(`${poll(two.url, "x")}&sid=${sid}`, { method: "POST", body: "3" })).body).toBe("ok");
  });

  it("also that of the process that had the owner's name before", async () => {
    const { nodes } = await startNodes(2);
    const [one, two] = nodes as [Node, Node];
    const sid = await begin(one);
    one.kill();
    const again = await startNode("web-0");
    await expect.poll(() => two.membership.find(one.membership.token)?.address).toBe(again.url);
    expect(await send(poll(two.url, sid))).toMatchObject(UNKNOWN);
    expect(await send(poll(again.url, sid))).toMatchObject(UNKNOWN);
    expect([two.counters.refusedNotIssued, again.counters.refusedEnded]).toEqual([1, 1]);
  });
});

describe("an owner that is gone", () => {
  it("is noticed at once, while its lease still stands; its clients begin anew elsewhere", async () => {
    const { nodes, url } = await startNodes(3);
    const victim = nodes[0] as Node;
    const clients = Array.from({ length: 12 }, () => startClient(url, { transports: ["polling"] }));
    const first = await Promise.all(clients.map(({ socket }) => who(socket)));
    expect(first).toContain("web-0");
    const began = Date.now();
    victim.kill();
    await expect
      .poll(async () => new Set(await Promise.all(clients.map(({ socket }) => who(socket)))), {
        timeout: 10_000,
      })
      .toEqual(new Set(["web-1", "web-2"]));
    expect(Date.now() - began).toBeLessThan(8_000);
    clients.forEach(({ errors }, index) => {
      if (first[index] !== "web-0") expect(errors).toEqual([]);
    });
    expect(sum(nodes.slice(1), "refusedUnreachable")).toBeGreaterThan(0);
    const failures = nodes.slice(1).flatMap(({ events }) => events);
    expect(failures.length).toBeLessThanOrEqual(2);
    expect(failures[0]).toMatchObject({ type: "forward-failed", node: "web-0", address: victim.url });
  });

  it("ends what waits for it, polls and upgrades, once its lease is over", async () => {
    const { nodes } = await startNodes(2);
    const [, two] = nodes as [Node, Node];
    // Takes connections and never answers, as a process that is stopped does.
    const silent = createServer(() => {}).on("upgrade", () => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    closers.push(() => silent.close());
    const paused = new Membership({ broker, node: "paused" });
    await paused.announce({
      address: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
      path: "/socket.io/",
    });
    await expect.poll(() => two.membership.find(paused.token)?.address).toBeDefined();
    const sid = signSessionId(paused.token, paused.key);
    const waiting = Promise.all([send(poll(two.url, sid)), upgrade(two, sid)]);
    await expect.poll(() => two.counters.forwarding).toBe(2);
    await paused.close();
    const [answer, raw] = await waiting;
    expect(answer).toMatchObject(UNKNOWN);
    expect(raw).toContain("Session ID unknown");
    expect(two.counters).toMatchObject({ forwarding: 0, refusedUnreachable: 2 });
    expect(await send(poll(two.url, sid))).toMatchObject(UNKNOWN);
    expect(two.counters.refusedOwnerGone).toBe(1);
  });

  it("in the middle of an answer breaks the client's connection, so that it never looks whole", async () => {
    const { nodes } = await startNodes(1);
    const [one] = nodes as [Node];
    const half = createServer((_req, res) => {
      res.writeHead(200, { "Content-Length": "100" }).write("half");
      setTimeout(() => res.destroy(), 50);
    });
    await new Promise<void>((resolve) => half.listen(0, "127.0.0.1", resolve));
    closers.push(() => half.close());
    const dying = new Membership({ broker, node: "dying" });
    closers.push(() => dying.close());
    await dying.announce({
      address: `http://127.0.0.1:${(half.address() as AddressInfo).port}`,
      path: "/socket.io/",
    });
    await expect.poll(() => one.membership.find(dying.token)?.address).toBeDefined();
    await expect(send(poll(one.url, signSessionId(dying.token, dying.key)))).rejects.toThrow();
    await expect.poll(() => one.counters.forwarding).toBe(0);
  });
});

it("gives the engine its own methods back", async () => {
  const http = createServer();
  const io = new Server(http);
  closers.push(() => io.close());
  const membership = new Membership({ broker, node: "one" });
  closers.push(() => membership.close());
  const engine = io.engine as unknown as EngineServer;
  const { generateId, handleRequest, handleUpgrade } = engine;
  const events: ForwardingEvent[] = [];
  const counters = zeroForwardingCounters();
  const adopted = adoptEngine(engine, { membership, counters, onEvent: (event) => events.push(event) });
  expect(engine.handleRequest).not.toBe(handleRequest);
  await engine.generateId({} as never);
  await engine.generateId({} as never);
  expect(events).toEqual([{ type: "address-missing", node: "one" }]);
  adopted.close();
  expect(engine).toMatchObject({ generateId, handleRequest, handleUpgrade });
});
