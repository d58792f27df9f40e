import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import {
  begin,
  forwardingNodes,
  type Node,
  poll,
  send,
  sum,
  UNKNOWN,
  who,
} from "../../test/forwarding-nodes.ts";
import { Membership } from "../cluster/membership.ts";
import { nodeToken } from "../session-id.ts";
import type { ForwardingCounters } from "./counters.ts";
import { signSessionId } from "./signed-session-id.ts";

const { keep, broker, startNode, startNodes, startClient, upgrade } = forwardingNodes();

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
    keep(silent, () => silent.close());
    const paused = new Membership({ broker: broker(), node: "paused" });
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
    const answers: ServerResponse[] = [];
    const half = createServer((_req, res) => {
      res.writeHead(200, { "Content-Length": "100" }).write("half");
      answers.push(res);
    });
    await new Promise<void>((resolve) => half.listen(0, "127.0.0.1", resolve));
    keep(half, () => half.close());
    const dying = new Membership({ broker: broker(), node: "dying" });
    keep(dying, () => dying.close());
    await dying.announce({
      address: `http://127.0.0.1:${(half.address() as AddressInfo).port}`,
      path: "/socket.io/",
    });
    await expect.poll(() => one.membership.find(dying.token)?.address).toBeDefined();
    const begun = await new Promise<IncomingMessage>((resolve, reject) => {
      const url = poll(one.url, signSessionId(dying.token, dying.key));
      request(url, { agent: false }, resolve).once("error", reject).end();
    });
    answers[0]?.destroy();
    await expect(text(begun)).rejects.toThrow();
    await expect.poll(() => one.counters.forwarding).toBe(0);
  });
});
