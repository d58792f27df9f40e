import type { Face } from "@holdfast/routing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RawClient, send, upgradeHead } from "../../test/clients.ts";
import { loadBalancerOf, SERVICE, serviceOf } from "../../test/models.ts";
import { echo, startPod } from "../../test/pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

const modelWith = (face: Face, settings: Parameters<typeof serviceOf>[2] = {}) => ({
  loadBalancers: [loadBalancerOf({ hosts: [], defaultBackend: SERVICE }, { face })],
  backendServices: new Map([[SERVICE, serviceOf(SERVICE, { type: "NONE" }, settings)]]),
});

test("of GKE's load balancers says google, and gives each request a trace unless it has one", async () => {
  const pod = await startPod("web");
  const served = await serve([pod], { model: modelWith("gce") });
  const answer = await send(served);
  await send(served, { headers: { "X-Cloud-Trace-Context": "0123/4;o=1" } });
  expect(answer.headers.via).toBe("1.1 google");
  expect(pod.seen[0]?.headers["x-cloud-trace-context"]).toMatch(/^[0-9a-f]{32}\/\d+$/);
  expect(pod.seen[1]?.headers["x-cloud-trace-context"]).toBe("0123/4;o=1");
});

test("of our own says so, and forwards no address but the one it sees", async () => {
  const pod = await startPod("web");
  const served = await serve([pod], { model: modelWith("holdfast") });
  const answer = await send(served, {
    headers: { Host: "a.example", "X-Forwarded-For": "1.1.1.1", "X-Forwarded-Proto": "https" },
  });
  expect(answer.headers.via).toBe("1.1 holdfast");
  expect(pod.seen[0]?.headers).toMatchObject({
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": "a.example",
    via: "1.1 holdfast",
  });
  expect(pod.seen[0]?.headers).not.toHaveProperty("x-cloud-trace-context");
});

test("sets the backend service's own fields on requests and answers", async () => {
  const pod = await startPod("web", {
    handle: (_request, response) => response.writeHead(200, { "X-Frame-Options": "ALLOW" }).end(),
  });
  const requestHeaders = [{ name: "X-Tier", value: "gold" }];
  const responseHeaders = [{ name: "X-Frame-Options", value: "DENY" }];
  const served = await serve([pod], { model: modelWith("gce", { requestHeaders, responseHeaders }) });
  const answer = await send(served, { headers: { "x-tier": "lead" } });
  expect(pod.seen[0]?.headers["x-tier"]).toBe("gold");
  expect(answer.headers["x-frame-options"]).toBe("DENY");
});

test("a model with a field that the ingress writes itself is refused", async () => {
  const served = await serve([await startPod("web")]);
  const bad = modelWith("gce", { requestHeaders: [{ name: "Content-Length", value: "0" }] });
  expect(() => served.ingress.apply(bad)).toThrowError(expect.objectContaining({ code: "MODEL_INVALID" }));
  expect((await send(served)).body).toBe("web");
});

describe("an upgraded connection", () => {
  test("through Envoy's ways lasts while it is in use, and ends once it was idle for the timeout", async () => {
    const pod = await startPod("web", { upgrade: echo("web") });
    const served = await serve([pod], { model: modelWith("gce-envoy", { timeoutSec: 1 }) });
    const client = await RawClient.open(served, upgradeHead());
    for (let round = 0; round < 8; round++) {
      client.socket.write(".");
      // Less than the timeout each, more than it together.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(client.received).toMatch(/web:\.{7,}$/);
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true), 3000);
    expect(served.events.at(-1)).toMatchObject({ type: "upgrade-closed", cause: "timeout", bytesIn: 8 });
  });

  test("of our own face has an idle time of its own, whatever the timeout of requests", async () => {
    const pod = await startPod("web", { upgrade: echo("web") });
    const served = await serve([pod], {
      model: modelWith("holdfast", { timeoutSec: 1 }),
      upgradeIdleTimeoutMs: 2_000,
    });
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.received).toMatch(/web:$/));
    const at = performance.now();
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true), 4000);
    expect(performance.now() - at).toBeGreaterThan(1_700);
  });

  test("goes on while the ingress closes, until the grace is over", async () => {
    const pod = await startPod("web", { upgrade: echo("web") });
    const served = await serve([pod]);
    const client = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(client.received).toMatch(/web:$/));
    const closed = served.ingress.close({ graceMs: 500 });
    client.socket.write("still");
    await vi.waitFor(() => expect(client.received).toMatch(/web:still$/));
    await closed;
    await vi.waitFor(() => expect(client.ended || client.closed).toBe(true));
  });
});

describe("where a request went", () => {
  test.each([
    ["never", {}, undefined],
    ["never", { "Holdfast-Decision": "?" }, undefined],
    ["asked", {}, undefined],
    ["asked", { "Holdfast-Decision": "?" }, "pod=web; reason=round-robin; tries=1"],
    ["always", {}, "pod=web; reason=round-robin; tries=1"],
  ] as const)(
    "is told when that is to be %s and the request has %j: %s",
    async (decisions, headers, told) => {
      const pod = await startPod("web");
      const served = await serve([pod], { decisions });
      expect((await send(served, { headers: { ...headers } })).headers["holdfast-decision"]).toBe(told);
      expect(pod.seen[0]?.headers).not.toHaveProperty("holdfast-decision");
    },
  );
});

describe("behind a proxy that is trusted", () => {
  const named = { "X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.5" };

  test("the client is the last one named that is no such proxy", async () => {
    const served = await serve([await startPod("web")], { trustedProxies: ["127.0.0.0/24", "::1"] });
    await send(served, { headers: named });
    await send(served);
    await send(served, { headers: { "X-Forwarded-For": "who knows" } });
    expect(served.requests().map(({ client }) => client)).toEqual(["198.51.100.7", "127.0.0.1", "127.0.0.1"]);
  });

  test("any other is not believed", async () => {
    const served = await serve([await startPod("web")], { trustedProxies: ["10.0.0.0/8"] });
    await send(served, { headers: named });
    expect(served.requests().map(({ client }) => client)).toEqual(["127.0.0.1"]);
  });

  test("its connections are not one client's", async () => {
    const served = await serve([await startPod("web")], {
      trustedProxies: ["127.0.0.1"],
      maxConnectionsPerClient: 1,
    });
    await RawClient.open(served);
    expect((await send(served)).body).toBe("web");
  });
});
