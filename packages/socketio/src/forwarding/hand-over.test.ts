import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import {
  begin,
  forwardingNodes,
  type Node,
  poll,
  send,
  sessionsOf,
  UNKNOWN,
} from "../../test/forwarding-nodes.ts";
import { signSessionId } from "./signed-session-id.ts";

const { keep, startNodes, upgrade } = forwardingNodes();

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
    const socket = connect(two.port, "127.0.0.1");
    keep(socket, () => socket.destroy());
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
