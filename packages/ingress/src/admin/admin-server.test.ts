import { createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Address, send } from "../../test/clients.ts";
import { AdminServer, type Readiness } from "./admin-server.ts";

const open = new Set<AdminServer>();
afterEach(async () => {
  await Promise.all([...open].map((server) => server.close()));
  open.clear();
});

async function start(
  readiness: () => Readiness = () => ({ ready: true }),
  metrics = async () => "a_total 1\n",
): Promise<Address> {
  const server = new AdminServer({ host: "127.0.0.1", port: 0, metrics, readiness });
  open.add(server);
  return server.listen();
}

test("serves the metrics in Prometheus' format", async () => {
  const answer = await send(await start(), { path: "/metrics?x" });
  expect(answer).toMatchObject({ status: 200, body: "a_total 1\n" });
  expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0\.0\.4/);
});

test("answers 500 when the metrics can't be had", async () => {
  const at = await start(undefined, () => Promise.reject(new Error("no")));
  expect((await send(at, { path: "/metrics" })).status).toBe(500);
});

test("is alive, and ready or says why not", async () => {
  let readiness: Readiness = { ready: false, reason: "no routing model was applied yet" };
  const at = await start(() => readiness);
  expect((await send(at, { path: "/healthz" })).status).toBe(200);
  expect(await send(at, { path: "/readyz" })).toMatchObject({
    status: 503,
    body: '{"ready":false,"reason":"no routing model was applied yet"}\n',
  });
  readiness = { ready: true };
  expect((await send(at, { path: "/readyz" })).status).toBe(200);
});

describe("anything else", () => {
  test("is answered 404 or 405", async () => {
    const at = await start();
    expect((await send(at, { path: "/" })).status).toBe(404);
    const posted = await send(at, { path: "/metrics", method: "POST", body: "x" });
    expect([posted.status, posted.headers.allow]).toEqual([405, "GET, HEAD"]);
  });
});

test("names its own flag when its port is taken", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const address = taken.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  const server = new AdminServer({
    host: "127.0.0.1",
    port,
    metrics: async () => "",
    readiness: () => ({ ready: true }),
  });
  await expect(server.listen()).rejects.toMatchObject({
    code: "PORT_IN_USE",
    message: expect.stringContaining("--admin-port"),
  });
  taken.close();
});
