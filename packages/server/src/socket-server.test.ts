import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedBroker, serveBroker } from "@holdfast/broker";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Cluster, urlOf } from "../test/cluster.ts";
import { readSocketServerConfig } from "./config.ts";
import { startSocketServer } from "./socket-server.ts";

let cluster: Cluster;
beforeEach(async () => {
  cluster = await Cluster.start();
});
afterEach(() => cluster.close());

const status = async (url: string) => (await fetch(url)).status;

it("is ready only while what it publishes comes back: not when the broker is away, and again when it is back", async () => {
  const broker = openEmbeddedBroker();
  // An address that no outgoing connection has, so that the port is still free when the broker is back.
  const host = "127.0.0.9";
  const served = await serveBroker(broker, { host });
  cluster.onClose(() => broker.close());
  const config = readSocketServerConfig({ ...cluster.environment(), HOLDFAST_BROKER: served.url });
  const node = await startSocketServer(config);
  cluster.onClose(() => node.close());
  await expect.poll(() => status(`${urlOf(node)}/readyz`)).toBe(200);

  await served.close();
  await expect.poll(() => status(`${urlOf(node)}/readyz`), { timeout: 5_000 }).toBe(503);
  expect(await status(`${urlOf(node)}/healthz`)).toBe(200);

  const token = new URL(served.url).username;
  const again = await serveBroker(broker, { host, port: served.port, token });
  cluster.onClose(() => again.close());
  await expect.poll(() => status(`${urlOf(node)}/readyz`), { timeout: 10_000 }).toBe(200);
});

it("runs alone with a broker of its own where none is configured", async () => {
  const node = await cluster.node("alone", { broker: undefined });
  await expect.poll(() => status(`${urlOf(node)}/readyz`)).toBe(200);
});

it("answers / with 200, and what it doesn't know with 404", async () => {
  const node = await cluster.node("node-x");
  expect(await (await fetch(urlOf(node))).text()).toBe("Holdfast socket server node-x\n");
  expect(await status(`${urlOf(node)}/nothing`)).toBe(404);
  expect((await fetch(urlOf(node), { method: "POST" })).status).toBe(405);
});

it("serves a folder, and nothing beside it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  cluster.onClose(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "index.html"), "<p>hello");
  const node = await cluster.node("node", { staticFolder: folder });
  expect(await (await fetch(`${urlOf(node)}/?x=1`)).text()).toBe("<p>hello");
  for (const path of ["/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/%zz", "//"]) {
    expect(await status(urlOf(node) + path), path).not.toBe(500);
  }
  expect(await status(`${urlOf(node)}/..%2f..%2f..%2fetc%2fpasswd`)).toBe(404);
});

it("refuses a folder that is not there, and lets go of everything", async () => {
  await expect(cluster.node("node", { staticFolder: "not-there" })).rejects.toMatchObject({
    code: "STATIC_MISSING",
    message: expect.stringContaining("HOLDFAST_STATIC=not-there"),
  });
});

it("refuses a port in use, and names it", async () => {
  const node = await cluster.node("node");
  await expect(cluster.node("other", { port: node.port })).rejects.toMatchObject({
    code: "PORT_IN_USE",
    message: expect.stringContaining(`port ${node.port}`),
  });
});

it("serves the browser client, and sends it once only to a browser that keeps it", async () => {
  const node = await cluster.node("node");
  const url = `${urlOf(node)}/holdfast/client.js`;
  const first = await fetch(url);
  expect(first.headers.get("content-type")).toContain("javascript");
  expect(await first.text()).toContain("holdfast:subscribe");
  const etag = first.headers.get("etag") ?? "";
  const second = await fetch(url, { headers: { "if-none-match": etag } });
  expect(second.status).toBe(304);
  expect(await status(`${url}.map`)).toBe(200);
});

it("counts what it does, by names that Prometheus reads", async () => {
  const node = await cluster.node("node");
  const channel = cluster.client(node).channel("room");
  await channel.subscribe();
  await cluster.broker.publish("room", new TextEncoder().encode('["said",1]'));
  await cluster.client(node).channel("room").subscribe({ cursor: "1.elsewhere.1.aaaa" });
  const metrics = async () => (await fetch(`${urlOf(node)}/metrics`)).text();
  await expect.poll(metrics).toMatch(/^holdfast_entries_delivered_total 1$/m);
  const text = await metrics();
  expect(text).toMatch(/^holdfast_connections 2$/m);
  expect(text).toMatch(/^holdfast_resumes_total\{recovered="false"\} 1$/m);
  expect(text).toMatch(/^process_cpu_seconds_total/m);
});

describe("a client that does not read", () => {
  it("is cut off once too much waits for it, and resumes without a loss", { timeout: 30_000 }, async () => {
    const node = await cluster.node("node", { maxQueuedBytes: 65_536 });
    const client = cluster.client(node, { socket: { transports: ["websocket"] } });
    const reader = cluster.client(node, { socket: { transports: ["websocket"] } });
    const offsets: number[] = [];
    const read: number[] = [];
    const disconnects: string[] = [];
    client.on("disconnect", ({ reason }) => disconnects.push(reason));
    reader.on("disconnect", ({ reason }) => disconnects.push(`reader: ${reason}`));
    client.channel("room").on("message", ({ offset }) => offsets.push(offset));
    reader.channel("room").on("message", ({ offset }) => read.push(offset));
    await Promise.all([client.channel("room").subscribe(), reader.channel("room").subscribe()]);

    const engine = client.socket.io.engine as unknown as {
      transport: { ws: { pause(): void; resume(): void } };
    };
    const { ws } = engine.transport;
    ws.pause();
    const entry = new TextEncoder().encode(JSON.stringify(["said", "x".repeat(20_000)]));
    const cutOff = async () =>
      /^holdfast_clients_cut_off_total 1$/m.test(await (await fetch(`${urlOf(node)}/metrics`)).text());
    let published = 0;
    while (!(await cutOff())) {
      await Promise.all(Array.from({ length: 20 }, () => cluster.broker.publish("room", entry)));
      published += 20;
      expect(published).toBeLessThan(3_000);
      await expect.poll(() => read.length, { interval: 2 }).toBe(published);
    }
    ws.resume();
    await expect.poll(() => offsets.length, { timeout: 20_000 }).toBe(published);
    expect(offsets).toEqual(Array.from({ length: published }, (_, n) => n + 1));
    expect(disconnects).toHaveLength(1);
    expect(disconnects[0]).not.toContain("reader");
  });
});

it("closes within two seconds although clients stay connected and one does not answer", async () => {
  const node = await cluster.node("node");
  for (const transport of ["polling", "websocket"]) {
    await cluster
      .client(node, { socket: { transports: [transport], reconnection: false } })
      .channel("a")
      .subscribe();
  }
  const silent = connectTcp(node.port, node.address);
  silent.on("error", () => {});
  await new Promise((resolve) => silent.once("connect", resolve));
  silent.write("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n");
  silent.write(
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  await new Promise((resolve) => silent.once("data", resolve));
  silent.pause();
  const started = performance.now();
  await Promise.all([node.close(), node.close()]);
  expect(performance.now() - started).toBeLessThan(2_000);
  silent.destroy();
});
