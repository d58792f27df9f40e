import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocketServer } from "ws";
import { SubjectProcess } from "../subject-process.ts";
import type { LoadCalls } from "./calls.ts";
import { composePayload, sharedClock } from "./payload.ts";

const CLIENTS = 3;
const PLENTY_MS = 10_000;

let server: WebSocketServer;
let load: SubjectProcess<LoadCalls>;

beforeEach(async () => {
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const free = { type: "free", reason: "a test" } as const;
  load = await SubjectProcess.start<LoadCalls>(new URL("./load.ts", import.meta.url), "load", free);
  const { port } = server.address() as AddressInfo;
  await load.call("connect", { port, dialect: "frames", clients: CLIENTS });
});

afterEach(async () => {
  await load.stop();
  server.close();
});

function sendToAll(number: number): void {
  for (const client of server.clients) client.send(composePayload(number, sharedClock()));
}

describe("load generator", () => {
  it("counts every delivery and notes how long it took", async () => {
    await load.call("begin", { deliveries: 2 * CLIENTS });
    sendToAll(0);
    sendToAll(1);
    await load.call("received", { next: 2, timeoutMs: PLENTY_MS });
    const { p50, p99 } = await load.call("end", null);
    expect(p50).toBeGreaterThan(0);
    expect(p99).toBeGreaterThanOrEqual(p50);
  });

  it("fails when the last message doesn't reach one client", async () => {
    sendToAll(0);
    const [, ...fortunate] = server.clients;
    for (const client of fortunate) client.send(composePayload(1, 0));
    const received = load.call("received", { next: 2, timeoutMs: 200 });
    await expect(received).rejects.toThrow(/client \d has 1 of 2 messages after 200 ms/);
  });

  it("fails at once when a message is doubled", async () => {
    sendToAll(0);
    sendToAll(0);
    const received = load.call("received", { next: 2, timeoutMs: PLENTY_MS });
    await expect(received).rejects.toThrow(/client \d waits for message 1 and got: 0{10}/);
  });

  it("fails when more comes than was published", async () => {
    sendToAll(0);
    sendToAll(1);
    await load.call("received", { next: 2, timeoutMs: PLENTY_MS });
    const received = load.call("received", { next: 1, timeoutMs: PLENTY_MS });
    await expect(received).rejects.toThrow(`${CLIENTS} deliveries came that nobody published`);
  });

  it("fails when fewer deliveries were noted than were measured", async () => {
    await load.call("begin", { deliveries: 5 });
    await expect(load.call("end", null)).rejects.toThrow("0 deliveries were noted, of 5");
  });
});
