import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Address, issuedCookie, RawClient, send, upgradeHead } from "../../test/clients.ts";
import { LOAD_BALANCER, modelOf, SERVICE } from "../../test/models.ts";
import { echo, killPods, type Pod, startPod } from "../../test/pods.ts";
import { metricsText } from "../admin/metric-family.ts";
import { Ingress } from "../ingress.ts";
import { WorkerFleet, type WorkerFleetOptions } from "./worker-fleet.ts";

const COOKIE = { type: "GENERATED_COOKIE", ttlSec: 0 } as const;

const fleets = new Set<WorkerFleet>();
afterEach(async () => {
  await Promise.all([...fleets].map((fleet) => fleet.close({ graceMs: 0 })));
  fleets.clear();
  await killPods();
});

async function start(options: Partial<WorkerFleetOptions> = {}): Promise<WorkerFleet> {
  const fleet = await WorkerFleet.start({
    workers: 2,
    settings: { ingress: {}, log: "none" },
    graceMs: 0,
    ...options,
  });
  fleets.add(fleet);
  return fleet;
}

/** A fleet on a free port that serves these pods. */
async function serve(
  pods: readonly Pod[],
  {
    model = modelOf(COOKIE),
    ...options
  }: Partial<WorkerFleetOptions> & { model?: ReturnType<typeof modelOf> } = {},
): Promise<{ fleet: WorkerFleet; at: Address }> {
  const fleet = await start(options);
  fleet.apply(model);
  fleet.setEndpoints(
    SERVICE,
    pods.map(({ endpoint }) => endpoint),
  );
  return { fleet, at: await fleet.listen({ loadBalancer: LOAD_BALANCER, port: 0 }) };
}

const pods = (count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      startPod(`web-${index}`, { address: `127.0.0.${index + 2}` }),
    ),
  );

/** What each worker has counted under this name, all its series together. */
async function counted(fleet: WorkerFleet, name: string): Promise<number[]> {
  const snapshots = (await fleet.metrics()) as readonly (readonly {
    readonly name: string;
    readonly values: readonly { readonly value: number }[];
  }[])[];
  return snapshots.flatMap((families) =>
    families
      .filter((family) => family.name === `holdfast_ingress_${name}`)
      .map(({ values }) => values.reduce((sum, { value }) => sum + value, 0)),
  );
}

describe("workers", () => {
  test("share one address, and send a cookie to the same pod whichever of them gets it", async () => {
    const { fleet, at } = await serve(await pods(4), { workers: 3 });
    for (let client = 0; client < 20; client++) {
      const first = await send(at);
      const headers = { Cookie: issuedCookie(first) ?? "" };
      for (let round = 0; round < 5; round++) {
        expect(await send(at, { headers })).toMatchObject({ status: 200, body: first.body });
      }
    }
    const shares = (await counted(fleet, "requests_total")).filter((count) => count > 0);
    expect(shares).toHaveLength(3);
    expect(shares.reduce((sum, share) => sum + share)).toBe(120);
  });

  test("agree on the pinned cookies of keys that were drawn at random", async () => {
    const cookie = { name: "HOLDFAST", ttlSec: 0, path: "/", secure: false } as const;
    const model = modelOf({ type: "PINNED_COOKIE", cookie });
    const pinned = {
      ...model,
      loadBalancers: model.loadBalancers.map((one) => ({ ...one, face: "holdfast" as const })),
    };
    const { at } = await serve(await pods(4), { model: pinned });
    const first = await send(at);
    const headers = { Cookie: first.headers["set-cookie"]?.[0]?.split(";")[0] ?? "" };
    expect(headers.Cookie).toMatch(/^HOLDFAST=/);
    for (let round = 0; round < 20; round++) {
      const answer = await send(at, { headers });
      expect([answer.body, answer.headers["set-cookie"]]).toEqual([first.body, undefined]);
    }
  });

  test("find the pod of an Engine.IO session that another one has learned of", async () => {
    const handle =
      (name: string): NonNullable<Parameters<typeof startPod>[1]>["handle"] =>
      (incoming, response) =>
        response.end(incoming.url?.includes("sid=") ? name : `0{"sid":"session-of-${name}","upgrades":[]}`);
    const some = await Promise.all(
      [0, 1, 2].map((index) =>
        startPod(`web-${index}`, { address: `127.0.0.${index + 2}`, handle: handle(`web-${index}`) }),
      ),
    );
    const model = modelOf({ type: "NONE" });
    const withSessions = {
      ...model,
      loadBalancers: model.loadBalancers.map((one) => ({ ...one, sessionAffinity: true })),
    };
    const { at } = await serve(some, { workers: 3, model: withSessions });
    for (let client = 0; client < 6; client++) {
      const path = "/socket.io/?EIO=4&transport=polling";
      const sid = /"sid":"([^"]+)"/.exec((await send(at, { path })).body)?.[1] ?? "";
      for (let round = 0; round < 8; round++) {
        const answer = await send(at, { path: `${path}&sid=${sid}` });
        expect(`session-of-${answer.body}`).toBe(sid);
      }
    }
  });
});

describe("a worker that is killed", () => {
  test("is started again, and serves as the others do; no other's connection notices", async () => {
    const onEvent = vi.fn();
    const some = await pods(2);
    const { fleet, at } = await serve(some, { onEvent });
    const first = await send(at);
    const headers = { Cookie: issuedCookie(first) ?? "" };
    const [victim = 0, survivor] = fleet.pids;
    const before = await metricsText(await fleet.metrics());

    process.kill(victim, "SIGKILL");
    await vi.waitFor(() => expect(onEvent).toHaveBeenCalledOnce());
    expect(onEvent).toHaveBeenCalledWith(
      expect.objectContaining({ type: "worker-exited", pid: victim, signal: "SIGKILL" }),
    );
    for (let round = 0; round < 10; round++) expect((await send(at, { headers })).body).toBe(first.body);
    await vi.waitFor(() => expect(fleet.pids).toHaveLength(2), 10_000);
    expect(fleet.pids).toContain(survivor);
    expect(fleet.pids).not.toContain(victim);

    // The new one serves too, with the endpoints as they are.
    await vi.waitFor(async () => {
      for (let round = 0; round < 5; round++) await send(at, { headers });
      expect((await counted(fleet, "requests_total")).filter((count) => count > 0).length).toBeGreaterThan(1);
    }, 10_000);
    for (let round = 0; round < 10; round++) expect((await send(at, { headers })).body).toBe(first.body);
    const total = (text: string) =>
      [...text.matchAll(/^holdfast_ingress_requests_total\{.*\} (\d+)$/gm)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
    expect(total(await metricsText(await fleet.metrics()))).toBeGreaterThanOrEqual(total(before) + 20);
  });

  test("takes with it its own connections alone, under load", async () => {
    const { fleet, at } = await serve(await pods(2), { workers: 3 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const clients = Array.from({ length: 30 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    await Promise.all(clients.map((client) => ask(at, client)));
    let failed = 0;
    let answered = 0;
    const [victim = 0] = fleet.pids;
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 20; round++) {
          if (index === 0 && round === 5) process.kill(victim, "SIGKILL");
          await ask(at, client).then(
            () => (answered += 1),
            () => (failed += 1),
          );
        }
      }),
    );
    agent.destroy();
    for (const client of clients) client.destroy();
    // A client loses its connection to the killed one once at most, and is served by another from then on.
    expect(failed).toBeLessThan(clients.length);
    expect(answered + failed).toBe(600);
  });
});

describe("addresses", () => {
  test("are refused when anybody listens there, another fleet too", async () => {
    const { at } = await serve(await pods(1));
    const other = await start();
    for (const one of [other, new Ingress()]) {
      await expect(one.listen({ loadBalancer: LOAD_BALANCER, port: at.port })).rejects.toMatchObject({
        code: "PORT_IN_USE",
      });
    }
    await expect(other.listen({ loadBalancer: LOAD_BALANCER, port: 0 })).resolves.toMatchObject({
      host: "127.0.0.1",
    });
  });

  test("can be given up", async () => {
    const { fleet, at } = await serve(await pods(1));
    await fleet.unlisten({ loadBalancer: LOAD_BALANCER });
    await expect(send(at)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});

test("what can't be served is refused here, and the last good model is served on", async () => {
  const { fleet, at } = await serve(await pods(1));
  const bad = {
    loadBalancers: [{ name: LOAD_BALANCER, urlMap: { hosts: null } }],
    backendServices: new Map(),
  };
  expect(() => fleet.apply(bad as never)).toThrowError(expect.objectContaining({ code: "MODEL_INVALID" }));
  expect(() =>
    fleet.setEndpoints(SERVICE, [{ address: "nowhere", port: 1, pod: "x", healthy: true }]),
  ).toThrowError(expect.objectContaining({ code: "ENDPOINT_INVALID" }));
  for (let round = 0; round < 6; round++) expect((await send(at)).status).toBe(200);
  await expect(start({ settings: { ingress: { maxTries: 0 }, log: "none" } })).rejects.toMatchObject({
    code: "OPTION_INVALID",
  });
});

test("closing lets open requests end in every worker, and leaves no process behind", async () => {
  const finish: (() => void)[] = [];
  const pod = await startPod("web", {
    handle: (_incoming, response) => finish.push(() => response.end("done")),
    upgrade: echo("web"),
  });
  const { fleet, at } = await serve([pod]);
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

function ask(at: Address, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...at, agent }, (response) => void text(response).then(resolve, reject));
    outgoing.on("error", reject).end();
  });
}
