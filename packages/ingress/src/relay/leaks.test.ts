import { afterEach, expect, test, vi } from "vitest";
import { RawClient, send, upgradeHead } from "../../test/clients.ts";
import { LOAD_BALANCER, SERVICE, serviceOf } from "../../test/models.ts";
import { echo, startPod } from "../../test/pods.ts";
import { cleanUp } from "../../test/serve.ts";
import { AffinityPolicy } from "../affinity/affinity-policy.ts";
import { randomCookieKey, readCookieKeys } from "../affinity/cookie-keys.ts";
import { SessionTable } from "../affinity/session-table.ts";
import { EndpointTable } from "../endpoints/endpoint-table.ts";
import { DEFAULTS } from "../options.ts";
import { acceptedAs } from "./accept.ts";
import { Clock } from "./clock.ts";
import { ConnectionCounts } from "./connection-counts.ts";
import { Listener } from "./listener.ts";
import { TrustedProxies } from "./trusted-proxies.ts";
import { UpstreamPool } from "./upstream-pool.ts";

afterEach(cleanUp);

test("nothing is left of connections, requests and upgrades that are over, however they ended", async () => {
  const pod = await startPod("web", {
    handle: (request, response) => {
      if (request.url === "/hang") return;
      if (request.url === "/break") response.write("half", () => request.socket.destroy());
      else request.pipe(response);
    },
    upgrade: echo("web"),
  });
  const clock = new Clock();
  const counts = new ConnectionCounts(1000);
  const pool = new UpstreamPool({ ...DEFAULTS, clock });
  const service = serviceOf(SERVICE, { type: "NONE" }, { timeoutSec: 1 });
  const table = new EndpointTable({ ...DEFAULTS, backendService: SERVICE, onEvent: () => {} });
  table.set([pod.endpoint]);
  const policy = new AffinityPolicy(
    { backendService: SERVICE, affinity: service.affinity, face: "gce", sessionAffinity: false },
    { keys: readCookieKeys([randomCookieKey()]), sessions: new SessionTable(1, 1), search: undefined },
  );
  const upgrades = { open: 0 };
  const listener = new Listener(
    {
      loadBalancer: LOAD_BALANCER,
      tls: false,
      options: DEFAULTS,
      clock,
      pool,
      upgrades,
      trustedProxies: new TrustedProxies([]),
      onEvent: () => {},
      route: () => ({
        service,
        table,
        policy,
        face: "gce",
        requestFields: undefined,
        responseFields: undefined,
      }),
      face: () => "gce",
      closing: false,
    },
    counts,
    (socket, handlers) => handlers.accepted(acceptedAs(socket)),
  );
  const at = await listener.listen("127.0.0.1", 0);
  for (let round = 0; round < 8; round++) {
    await Promise.allSettled([
      send(at),
      send(at, { method: "POST", body: "x".repeat(100_000) }),
      send(at, { path: "/hang" }),
      send(at, { path: "/break" }),
    ]);
    const clients = await Promise.all([
      RawClient.open(at),
      RawClient.open(at, "GET / HT"),
      RawClient.open(at, "nonsense\r\n\r\n"),
      RawClient.open(at, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"),
      RawClient.open(at, upgradeHead()),
    ]);
    if (round % 2 === 0) await vi.waitFor(() => expect(clients[4].received).toMatch(/web:$/));
    for (const { socket } of clients) socket.destroy();
  }
  for (const state of table.members) await vi.waitFor(() => expect(state.open).toBe(0));
  await vi.waitFor(() => expect(listener.status().open).toBe(0));
  expect({ clients: counts.size, upgrades: upgrades.open }).toEqual({ clients: 0, upgrades: 0 });
  for (const state of table.set([])) pool.release(state);
  await vi.waitFor(() =>
    expect({ upstream: pool.size, timed: clock.size }).toEqual({ upstream: 0, timed: 0 }),
  );
  await listener.close(0);
});
