import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type Address, issuedCookie, RawClient, send, upgradeHead } from "../../test/clients.ts";
import { LOAD_BALANCER, modelOf, SERVICE } from "../../test/models.ts";
import { echo, killPods, type Pod, startPod } from "../../test/pods.ts";
import { metricsText } from "../admin/metric-family.ts";
import { Ingress } from "../ingress.ts";
import { WorkerFleet } from "./worker-fleet.ts";

const SETTINGS = { ingress: {}, log: "none" } as const;
const COOKIE = { type: "GENERATED_COOKIE", ttlSec: 0 } as const;

const onEvent = vi.fn();
let fleet: WorkerFleet;
beforeAll(async () => {
  fleet = await WorkerFleet.start({ workers: 3, settings: SETTINGS, graceMs: 0, onEvent });
}, 30_000);
afterEach(async () => {
  await fleet.unlisten({ loadBalancer: LOAD_BALANCER });
  await killPods();
});
afterAll(() => fleet.close({ graceMs: 0 }));

/** Serves these pods on a free port. */
async function serve(some: readonly Pod[], model = modelOf(COOKIE)): Promise<Address> {
  fleet.apply(model);
  fleet.setEndpoints(
    SERVICE,
    some.map(({ endpoint }) => endpoint),
  );
  return fleet.listen({ loadBalancer: LOAD_BALANCER, port: 0 });
}

const pods = (count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      startPod(`web-${index}`, { address: `127.0.0.${index + 2}` }),
    ),
  );

/** Requests that each worker has counted. */
async function counted(): Promise<number[]> {
  const [, , ...workers] = (await fleet.metrics()) as readonly (readonly {
    readonly name: string;
    readonly values: readonly { readonly value: number }[];
  }[])[];
  return workers.map((families) => {
    const family = families.find(({ name }) => name === "holdfast_ingress_requests_total");
    return sum((family?.values ?? []).map(({ value }) => value));
  });
}

/** Requests that all have counted, those that have ended included. */
async function total(): Promise<number> {
  const lines = await metricsText(await fleet.metrics());
  return sum(
    [...lines.matchAll(/^holdfast_ingress_requests_total\{.*\} (\d+)$/gm)].map(([, n]) => Number(n)),
  );
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((before, number) => before + number, 0);
}

function ask(at: Address, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...at, agent }, (response) => void text(response).then(resolve, reject));
    outgoing.on("error", reject).end();
  });
}

describe("workers", () => {
  test("share one address, and send a cookie to the same pod whichever of them gets it", async () => {
    const before = await counted();
    const at = await serve(await pods(4));
    for (let client = 0; client < 20; client++) {
      const first = await send(at);
      const headers = { Cookie: issuedCookie(first) ?? "" };
      for (let round = 0; round < 4; round++) {
        expect(await send(at, { headers })).toMatchObject({ status: 200, body: first.body });
      }
    }
    const shares = await counted();
    expect(shares).toHaveLength(3);
    expect(shares.every((share) => share > 0)).toBe(true);
    expect(sum(shares) - sum(before)).toBe(100);
  });

  test("agree on the pinned cookies of keys that were drawn at random", async () => {
    const cookie = { name: "HOLDFAST", ttlSec: 0, path: "/", secure: false } as const;
    const model = modelOf({ type: "PINNED_COOKIE", cookie });
    const at = await serve(await pods(4), {
      ...model,
      loadBalancers: model.loadBalancers.map((one) => ({ ...one, face: "holdfast" as const })),
    });
    const first = await send(at);
    const headers = { Cookie: first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "" };
    expect(headers.Cookie).toMatch(/^HOLDFAST-[\w-]{6}=/);
    for (let round = 0; round < 20; round++) {
      const answer = await send(at, { headers });
      expect([answer.body, answer.headers["set-cookie"]]).toEqual([first.body, undefined]);
    }
  });

  test("find the pod of an Engine.IO session that another worker has learned of", async () => {
    const some = await Promise.all(
      ["web-0", "web-1", "web-2"].map((name, index) =>
        startPod(name, {
          address: `127.0.0.${index + 2}`,
          handle: ({ url }, response) =>
            response.end(url?.includes("sid=") ? name : `0{"sid":"session-of-${name}","upgrades":[]}`),
        }),
      ),
    );
    const model = modelOf({ type: "NONE" });
    const at = await serve(some, {
      ...model,
      loadBalancers: model.loadBalancers.map((one) => ({ ...one, sessionAffinity: true })),
    });
    const path = "/socket.io/?EIO=4&transport=polling";
    for (let client = 0; client < 3; client++) {
      const sid = /"sid":"([^"]+)"/.exec((await send(at, { path })).body)?.[1] ?? "";
      for (let round = 0; round < 8; round++) {
        expect(`session-of-${(await send(at, { path: `${path}&sid=${sid}` })).body}`).toBe(sid);
      }
    }
  });
});

describe("a worker that is killed", () => {
  test("is started again, and serves as the others do", async () => {
    const at = await serve(await pods(2));
    const first = await send(at);
    const headers = { Cookie: issuedCookie(first) ?? "" };
    for (let round = 0; round < 10; round++) await send(at, { headers });
    const before = await total();
    const [victim = 0, ...survivors] = fleet.pids;

    process.kill(victim, "SIGKILL");
    const exit = { pid: victim, code: null, signal: "SIGKILL", restartInMs: 100 };
    await vi.waitFor(() => expect(onEvent).toHaveBeenCalledWith({ type: "worker-exited", ...exit }), 10_000);
    for (let round = 0; round < 10; round++) expect((await send(at, { headers })).body).toBe(first.body);
    await vi.waitFor(() => expect(fleet.pids).toHaveLength(3), 10_000);
    expect(fleet.pids).toEqual([...survivors, expect.any(Number)]);

    await vi.waitFor(
      async () => {
        for (let round = 0; round < 5; round++) {
          expect((await send(at, { headers })).body).toBe(first.body);
        }
        const shares = await counted();
        expect(shares.length === 3 && shares.every((share) => share > 0)).toBe(true);
      },
      { timeout: 10_000 },
    );
    expect(await total()).toBeGreaterThanOrEqual(before + 15);
  });

  test("takes with it its own connections alone, under load", async () => {
    const at = await serve(await pods(2));
    const clients = Array.from({ length: 30 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    await Promise.all(clients.map((client) => ask(at, client)));
    const [victim = 0] = fleet.pids;
    const failures = await Promise.all(
      clients.map(async (client, index) => {
        let failed = 0;
        for (let round = 0; round < 10; round++) {
          if (index === 0 && round === 3) process.kill(victim, "SIGKILL");
          await ask(at, client).catch(() => {
            failed += 1;
          });
        }
        return failed;
      }),
    );
    for (const client of clients) client.destroy();
    // A client loses its connection to the killed one once, and is served by another from then on.
    expect(failures.filter((failed) => failed > 1)).toEqual([]);
    expect(sum(failures)).toBeLessThan(clients.length);
    await vi.waitFor(() => expect(fleet.pids).toHaveLength(3), 10_000);
  });
});

test("a worker that answers no more is ended and started again", async () => {
  const onExit = vi.fn();
  const silent = { workers: 1, settings: SETTINGS, graceMs: 0, silentMs: 1500, onEvent: onExit };
  const other = await WorkerFleet.start(silent);
  const [stuck = 0] = other.pids;
  process.kill(stuck, "SIGSTOP");
  const ended = expect.objectContaining({ pid: stuck, signal: "SIGKILL" });
  await vi.waitFor(() => expect(onExit).toHaveBeenCalledWith(ended), 10_000);
  await vi.waitFor(() => expect(other.pids).toEqual([expect.any(Number)]), 10_000);
  expect(other.pids).not.toContain(stuck);
  await other.close({ graceMs: 0 });
});

describe("an address", () => {
  test("is refused when anybody listens there, even one that shares it", async () => {
    const at = await serve(await pods(1));
    const taken = { loadBalancer: "default/other", port: at.port };
    await expect(new Ingress().listen(taken)).rejects.toMatchObject({ code: "PORT_IN_USE" });
    await expect(fleet.listen(taken)).rejects.toMatchObject({ code: "PORT_IN_USE" });
    const again = fleet.listen({ loadBalancer: LOAD_BALANCER, port: 0 });
    await expect(again).rejects.toMatchObject({ code: "ALREADY_LISTENING" });
    expect((await send(at)).status).toBe(200);
  });

  test("can be given up", async () => {
    const at = await serve(await pods(1));
    await fleet.unlisten({ loadBalancer: LOAD_BALANCER });
    await expect(send(at)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});

test("what can't be served is refused, and the last good model is served on", async () => {
  const at = await serve(await pods(1));
  const bad = {
    loadBalancers: [{ name: LOAD_BALANCER, urlMap: { hosts: null } }],
    backendServices: new Map(),
  };
  expect(() => fleet.apply(bad as never)).toThrowError(expect.objectContaining({ code: "MODEL_INVALID" }));
  expect(() =>
    fleet.setEndpoints(SERVICE, [{ address: "nowhere", port: 1, pod: "x", healthy: true }]),
  ).toThrowError(expect.objectContaining({ code: "ENDPOINT_INVALID" }));
  for (let round = 0; round < 6; round++) expect((await send(at)).status).toBe(200);
  const settings = { ...SETTINGS, ingress: { maxTries: 0 } };
  await expect(WorkerFleet.start({ workers: 2, settings, graceMs: 0 })).rejects.toMatchObject({
    code: "OPTION_INVALID",
  });
});

test("closing lets open requests end in every worker, and leaves no process behind", async () => {
  const finish: (() => void)[] = [];
  const pod = await startPod("web", {
    handle: (_incoming, response) => finish.push(() => response.end("done")),
    upgrade: echo("web"),
  });
  const at = await serve([pod]);
  const { pids } = fleet;
  const answers = Array.from({ length: 10 }, () => send(at));
  const upgraded = await RawClient.open(at, upgradeHead());
  await vi.waitFor(() => expect(finish).toHaveLength(10));
  await vi.waitFor(() => expect(upgraded.received).toMatch(/web:$/));
  const closed = fleet.close({ graceMs: 10_000 });
  await vi.waitFor(() => expect(send(at)).rejects.toMatchObject({ code: "ECONNREFUSED" }));
  for (const end of finish) end();
  expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(Array(10).fill("done"));
  upgraded.socket.end();
  await closed;
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow();
});
