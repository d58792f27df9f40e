import { createServer } from "node:http";
import { Server } from "socket.io";
import { describe, expect, it } from "vitest";
import {
  begin,
  connected,
  forwardingNodes,
  type Node,
  poll,
  send,
  sum,
  UNKNOWN,
  who,
} from "../../test/forwarding-nodes.ts";
import { Membership } from "../cluster/membership.ts";
import { adoptEngine, type ForwardingEvent } from "./adopt-engine.ts";
import { zeroForwardingCounters } from "./counters.ts";
import type { EngineServer } from "./engine.ts";

const { keep, broker, startNodes, startClient } = forwardingNodes();

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

it("gives the engine its own methods back", async () => {
  const http = createServer();
  const io = new Server(http);
  keep(io, () => io.close());
  const membership = new Membership({ broker: broker(), node: "one" });
  keep(membership, () => membership.close());
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
