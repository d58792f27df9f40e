import { createServer } from "node:net";
import type { RoutingModel } from "@holdfast/routing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { issuedCookie, RawClient, send, upgradeHead } from "../test/clients.ts";
import { LOAD_BALANCER, loadBalancerOf, modelOf, SERVICE, serviceOf } from "../test/models.ts";
import { echo, startPod } from "../test/pods.ts";
import { cleanUp, serve } from "../test/serve.ts";
import { nodeToken } from "./affinity/session-id.ts";
import { Ingress } from "./ingress.ts";

afterEach(cleanUp);

const COOKIE = { type: "GENERATED_COOKIE", ttlSec: 0 } as const;

const twoPods = () =>
  Promise.all([startPod("web-0", { address: "127.0.0.2" }), startPod("web-1", { address: "127.0.0.3" })]);

function tally(bodies: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const body of bodies) counts[body] = (counts[body] ?? 0) + 1;
  return counts;
}

describe("routing", () => {
  const model: RoutingModel = {
    loadBalancers: [
      loadBalancerOf({
        hosts: [
          {
            host: "example.com",
            paths: [
              { path: "/*", backend: SERVICE },
              { path: "/api/*", backend: "default/api:80" },
            ],
          },
        ],
      }),
      loadBalancerOf({ hosts: [], defaultBackend: "default/api:80" }, { name: "default/other" }),
    ],
    backendServices: new Map([
      [SERVICE, serviceOf(SERVICE)],
      ["default/api:80", serviceOf("default/api:80")],
    ]),
  };

  test("goes by host and path, and not by the query", async () => {
    const web = await startPod("web");
    const api = await startPod("api");
    const served = await serve([web], { model });
    served.ingress.setEndpoints("default/api:80", [api.endpoint]);
    const headers = { Host: "Example.com:8080" };
    expect((await send(served, { headers, path: "/?x=/api/" })).body).toBe("web");
    expect((await send(served, { headers, path: "/api/x?y" })).body).toBe("api");
    expect(api.seen[0]?.url).toBe("/api/x?y");
    expect(api.seen[0]?.headers.host).toBe("Example.com:8080");
  });

  test("answers with GKE's 404 where no host matches and there is no default", async () => {
    const served = await serve([], { model });
    const answer = await send(served, { headers: { Host: "else.example" } });
    expect(answer).toMatchObject({
      status: 404,
      body: "response 404 (backend NotFound), service rules for the path non-existent \n",
    });
    expect(served.events).toMatchObject([{ type: "request", outcome: "no-route", status: 404, tries: 0 }]);
  });

  test("gives each load balancer an address and a URL map of its own", async () => {
    const api = await startPod("api");
    const served = await serve([], { model });
    served.ingress.setEndpoints("default/api:80", [api.endpoint]);
    const other = await served.ingress.listen({ loadBalancer: "default/other", port: 0 });
    expect((await send(other)).body).toBe("api");
    expect((await send(served)).status).toBe(404);
  });

  test("takes the host of an absolute target for the request's host", async () => {
    const web = await startPod("web");
    const served = await serve([web], { model });
    const client = await RawClient.open(
      served,
      "GET http://example.com/a?b HTTP/1.1\r\nHost: Example.com\r\nConnection: close\r\n\r\n",
    );
    await vi.waitFor(() => expect(client.received).toMatch(/web$/));
    expect(web.seen[0]).toMatchObject({ url: "/a?b", headers: { host: "example.com" } });
  });

  test("answers 502 where no endpoint is healthy", async () => {
    const web = await startPod("web");
    const served = await serve([], { model: modelOf(COOKIE) });
    served.ingress.setEndpoints(SERVICE, [{ ...web.endpoint, healthy: false }]);
    const answer = await send(served);
    expect(answer.status).toBe(502);
    expect(answer.headers["content-type"]).toMatch(/^text\/html/);
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect(served.events).toMatchObject([
      { outcome: "no-healthy-endpoint", status: 502, backendService: SERVICE },
    ]);
  });

  test("answers 503 there by its own class, and when to try again", async () => {
    const urlMap = { hosts: [], defaultBackend: SERVICE };
    const loadBalancers = [loadBalancerOf(urlMap, { face: "holdfast" })];
    const served = await serve([], { model: { ...modelOf(COOKIE), loadBalancers } });
    const answer = await send(served);
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(served.events).toMatchObject([{ outcome: "no-healthy-endpoint", status: 503 }]);
  });
});

describe("affinity by cookie", () => {
  test("spreads 100 requests without a cookie evenly", async () => {
    const served = await serve(await twoPods(), { model: modelOf(COOKIE) });
    const bodies: string[] = [];
    for (let round = 0; round < 100; round++) bodies.push((await send(served)).body);
    expect(tally(bodies)).toEqual({ "web-0": 50, "web-1": 50 });
  });

  test("keeps 100 requests with the issued cookie on the pod that answered first, and issues no other", async () => {
    const served = await serve(await twoPods(), { model: modelOf({ ...COOKIE, ttlSec: 50 }) });
    for (let client = 0; client < 2; client++) {
      const first = await send(served);
      expect(first.headers["set-cookie"]).toEqual([
        expect.stringMatching(
          /^GCLB=[\w-]{4,18}; path=\/; HttpOnly; expires=\w{3}, \d\d-\w{3}-\d{4} \d\d:\d\d:\d\d GMT$/,
        ),
      ]);
      const Cookie = issuedCookie(first) ?? "";
      for (let round = 0; round < 50; round++) {
        const answer = await send(served, { headers: { Cookie: `a=b; ${Cookie}` } });
        expect(answer.body).toBe(first.body);
        expect(answer.headers["set-cookie"]).toBeUndefined();
      }
    }
    expect(tally(served.requests().map(({ reason }) => reason ?? ""))).toEqual({ new: 2, cookie: 100 });
  });

  test("needs no memory: a second ingress, started later, sends every cookie to the same pod", async () => {
    const pods = await twoPods();
    const first = await serve(pods, { model: modelOf(COOKIE) });
    const answers = [];
    for (let client = 0; client < 20; client++) answers.push(await send(first));
    await first.ingress.close();
    const second = await serve([...pods].reverse(), { model: modelOf(COOKIE) });
    for (const answer of answers) {
      const again = await send(second, { headers: { Cookie: issuedCookie(answer) ?? "" } });
      expect(again.body).toBe(answer.body);
    }
  });

  test("takes a cookie that does not decode for none", async () => {
    const served = await serve(await twoPods(), { model: modelOf(COOKIE) });
    const answer = await send(served, { headers: { Cookie: "GCLB=not.a.cookie" } });
    expect(issuedCookie(answer)).toBeDefined();
  });

  test("issues the cookie with a pod's refusal too", async () => {
    const pod = await startPod("web", {
      handle: (_request, response) => response.writeHead(500, ["Set-Cookie", "own=1"]).end(),
    });
    const served = await serve([pod], { model: modelOf(COOKIE) });
    const answer = await send(served);
    expect(answer.status).toBe(500);
    expect(answer.headers["set-cookie"]).toEqual(["own=1", expect.stringMatching(/^GCLB=/)]);
  });

  test("sends the cookie to a survivor while its pod is unhealthy, and back when it has recovered", async () => {
    const pods = await twoPods();
    const served = await serve(pods, { model: modelOf(COOKIE) });
    const first = await send(served);
    const headers = { Cookie: issuedCookie(first) ?? "" };
    const set = (healthy: boolean) =>
      served.ingress.setEndpoints(
        SERVICE,
        pods.map(({ name, endpoint }) => (name === first.body ? { ...endpoint, healthy } : endpoint)),
      );
    set(false);
    const meanwhile = await send(served, { headers });
    expect(meanwhile.body).not.toBe(first.body);
    expect(meanwhile.headers["set-cookie"]).toBeUndefined();
    set(true);
    expect((await send(served, { headers })).body).toBe(first.body);
  });
});

test("affinity by client address sticks without a cookie, and does not believe a header", async () => {
  const pods = await Promise.all(
    [2, 3, 4, 5].map((host) => startPod(`web-${host}`, { address: `127.0.0.${host}` })),
  );
  const served = await serve(pods, { model: modelOf({ type: "CLIENT_IP" }) });
  const reached = new Set<string>();
  for (let host = 10; host < 30; host++) {
    const bodies = [];
    for (let round = 0; round < 3; round++) {
      const headers = { "X-Forwarded-For": `203.0.113.${round}` };
      bodies.push((await send(served, { from: `127.0.0.${host}`, headers })).body);
    }
    expect(new Set(bodies).size).toBe(1);
    reached.add(bodies[0] ?? "");
  }
  expect(reached.size).toBeGreaterThan(1);
});

test("no affinity takes turns", async () => {
  const served = await serve(await twoPods());
  const bodies: string[] = [];
  for (let round = 0; round < 10; round++) bodies.push((await send(served)).body);
  expect(tally(bodies)).toEqual({ "web-0": 5, "web-1": 5 });
});

describe("applying a model", () => {
  test("serves the last good one on when the next can't be served", async () => {
    const pod = await startPod("web");
    const served = await serve([pod]);
    const bad = {
      loadBalancers: [{ name: LOAD_BALANCER, urlMap: { hosts: null } }],
      backendServices: new Map(),
    };
    expect(() => served.ingress.apply(bad as unknown as RoutingModel)).toThrowError(
      expect.objectContaining({ code: "MODEL_INVALID" }),
    );
    expect(() =>
      served.ingress.setEndpoints(SERVICE, [{ address: "nowhere", port: 1, pod: "x", healthy: true }]),
    ).toThrowError(expect.objectContaining({ code: "ENDPOINT_INVALID" }));
    expect((await send(served)).body).toBe("web");
  });

  test("keeps the endpoints of a backend service whose settings changed", async () => {
    const served = await serve([await startPod("web")]);
    served.ingress.apply(modelOf(COOKIE));
    const answer = await send(served);
    expect(answer.body).toBe("web");
    expect(issuedCookie(answer)).toBeDefined();
  });

  test("lets requests and upgraded connections end that are open while everything is removed", async () => {
    let finish = () => {};
    const pod = await startPod("web", {
      handle: (_request, response) => {
        response.write("first ");
        finish = () => response.end("last");
      },
      upgrade: echo("web"),
    });
    const served = await serve([pod]);
    const answer = send(served);
    const upgraded = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(pod.seen.length).toBe(2));
    await vi.waitFor(() => expect(upgraded.received).toMatch(/web:$/));
    served.ingress.apply({ loadBalancers: [], backendServices: new Map() });
    expect((await send(served)).status).toBe(404);
    finish();
    expect((await answer).body).toBe("first last");
    upgraded.socket.write("still here");
    await vi.waitFor(() => expect(upgraded.received).toMatch(/web:still here$/));
    expect(() => served.ingress.setEndpoints(SERVICE, [])).toThrowError(
      expect.objectContaining({ code: "BACKEND_SERVICE_UNKNOWN" }),
    );
  });
});

describe("an endpoint that is removed", () => {
  test.each([0, 1])(
    "keeps what is open on it for its draining time, %d s, and no longer",
    async (drainingTimeoutSec) => {
      const pod = await startPod("web", {
        handle: (_request, response) => response.write("begun"),
        upgrade: echo("web"),
      });
      const served = await serve([pod], { model: modelOf({ type: "NONE" }, { drainingTimeoutSec }) });
      const upgraded = await RawClient.open(served, upgradeHead());
      const plain = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await vi.waitFor(() => expect(upgraded.received).toMatch(/web:$/));
      await vi.waitFor(() => expect(plain.received).toMatch(/begun/));
      const at = performance.now();
      served.ingress.setEndpoints(SERVICE, []);
      expect((await send(served)).status).toBe(502);
      await vi.waitFor(
        () => expect([upgraded.closed || upgraded.ended, plain.ended]).toEqual([true, true]),
        3000,
      );
      expect(performance.now() - at).toBeGreaterThanOrEqual(drainingTimeoutSec * 1000 - 50);
      expect(served.events).toContainEqual(
        expect.objectContaining({ type: "upgrade-closed", cause: "drained" }),
      );
      expect(served.events).toContainEqual(expect.objectContaining({ type: "request", outcome: "drained" }));
    },
  );

  test("goes on serving the sessions it holds for its draining time, and begins no other", async () => {
    const pods = await twoPods();
    const model = modelOf({ type: "NONE" }, { drainingTimeoutSec: 1 });
    const loadBalancers = model.loadBalancers.map((one) => ({ ...one, sessionAffinity: true }));
    const served = await serve(pods, { model: { ...model, loadBalancers } });
    const path = `/socket.io/?EIO=4&transport=polling&sid=${nodeToken("web-1")}.${"r".repeat(20)}`;
    const ask = async () => (await send(served, { path })).body;
    served.ingress.setEndpoints(
      SERVICE,
      pods.slice(0, 1).map(({ endpoint }) => endpoint),
    );
    expect(tally(await Promise.all([ask(), ask(), ask(), ask()]))).toEqual({ "web-1": 4 });
    expect((await send(served)).body).toBe("web-0");
    await vi.waitFor(async () => expect(await ask()).toBe("web-0"), 5000);
  });

  test("has its idle connections closed", async () => {
    const pod = await startPod("web");
    const served = await serve([pod]);
    await send(served);
    expect(pod.connections.size).toBe(1);
    served.ingress.setEndpoints(SERVICE, []);
    await vi.waitFor(() => expect(pod.connections.size).toBe(0));
  });
});

describe("listening", () => {
  test("refuses a port that is in use and names it and the flag", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const ingress = new Ingress();
    await expect(ingress.listen({ loadBalancer: LOAD_BALANCER, port })).rejects.toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringMatching(new RegExp(`127\\.0\\.0\\.1:${port} .*--port`)),
    });
    await new Promise((resolve) => taken.close(resolve));
    await expect(ingress.listen({ loadBalancer: LOAD_BALANCER, port })).resolves.toMatchObject({ port });
    await ingress.close();
  });

  test("refuses an address that this machine doesn't have", async () => {
    await expect(
      new Ingress().listen({ loadBalancer: LOAD_BALANCER, host: "192.0.2.1", port: 0 }),
    ).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE", message: expect.stringContaining("--host") });
  });

  test("refuses a second address for a load balancer, and any after close", async () => {
    const served = await serve([]);
    const again = () => served.ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0 });
    await expect(again()).rejects.toMatchObject({ code: "ALREADY_LISTENING" });
    await served.ingress.close();
    await expect(again()).rejects.toMatchObject({ code: "INGRESS_CLOSED" });
  });
});

describe("closing", () => {
  test("lets an open request end, accepts no other, and is idempotent", async () => {
    let finish = () => {};
    const pod = await startPod("web", {
      handle: (_request, response) => {
        finish = () => response.end("done");
      },
    });
    const served = await serve([pod]);
    const answer = send(served);
    await vi.waitFor(() => expect(pod.seen.length).toBe(1));
    const closed = served.ingress.close({ graceMs: 10_000 });
    expect(served.ingress.close()).toBe(closed);
    await expect(send(served)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    finish();
    expect((await answer).body).toBe("done");
    await closed;
  });

  test("destroys what is left after the time", async () => {
    const pod = await startPod("web", { handle: () => {}, upgrade: echo("web") });
    const served = await serve([pod]);
    const lost = expect(send(served)).rejects.toMatchObject({ code: "ECONNRESET" });
    const upgraded = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(upgraded.received).toMatch(/web:$/));
    await served.ingress.close({ graceMs: 50 });
    await lost;
    await vi.waitFor(() => expect(upgraded.ended || upgraded.closed).toBe(true));
    await vi.waitFor(() => expect(pod.connections.size).toBe(0));
  });
});

test("a listener that throws ends nothing", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const served = await serve([await startPod("web")], {
    onEvent: () => {
      throw new Error("full disk");
    },
  });
  expect((await send(served)).body).toBe("web");
  expect(warned).toHaveBeenCalledWith(expect.stringContaining("full disk"), "HoldfastWarning");
  warned.mockRestore();
});
