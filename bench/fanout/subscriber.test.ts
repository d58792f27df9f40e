import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { Dialect } from "./calls.ts";
import { composePayload } from "./payload.ts";
import { Subscriber } from "./subscriber.ts";

let server: WebSocketServer;
let peer: WebSocket;
let heard: string[];
let deliveries: number[];
let failures: string[];

beforeEach(async () => {
  [heard, deliveries, failures] = [[], [], []];
  server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    peer = socket;
    socket.on("message", (frame: Buffer) => heard.push(frame.toString()));
  });
  await once(server, "listening");
});

afterEach(() => {
  for (const client of server.clients) client.terminate();
  server.close();
});

function connect(dialect: Dialect): Promise<Subscriber> {
  // The end of this connection may come after the next test has begun.
  const own = failures;
  return Subscriber.connect(
    "client 0",
    { port: (server.address() as AddressInfo).port, dialect },
    (sentAt) => deliveries.push(sentAt),
    (error) => own.push(error.message),
  );
}

describe("Subscriber", () => {
  it("takes messages in their order", async () => {
    const subscriber = await connect("frames");
    for (const number of [0, 1, 2]) peer.send(composePayload(number, 40 + number));
    await vi.waitFor(() => expect(subscriber.received).toBe(3));
    expect(deliveries).toEqual([40, 41, 42]);
    expect(failures).toEqual([]);
  });

  it.each([
    ["lost", [0, 2], "waits for message 1 and got: 0000000002"],
    ["doubled", [0, 0], "waits for message 1 and got: 0000000000"],
    ["overtaken", [1, 0], "waits for message 0 and got: 0000000001"],
  ])("reports a message that was %s", async (_what, numbers, message) => {
    await connect("frames");
    for (const number of numbers) peer.send(composePayload(number, 0));
    await vi.waitFor(() => expect(failures[0]).toContain(message));
  });

  it("reports the end of its connection", async () => {
    await connect("frames");
    peer.terminate();
    await vi.waitFor(() => expect(failures).toEqual(["client 0 was disconnected with code 1006"]));
  });

  it("subscribes to the channel, answers pings and reads entries", async () => {
    const connecting = connect("channel");
    await vi.waitFor(() => expect(heard).toEqual(["40"]));
    peer.send('40{"sid":"s"}');
    peer.send('42["holdfast:welcome",{"node":"n","protocol":1}]');
    await vi.waitFor(() => expect(heard.at(-1)).toBe('420["holdfast:subscribe",{"channel":"bench"}]'));
    peer.send('430[{"ok":true,"recovered":false,"epoch":"e","offset":0,"tag":""}]');
    const subscriber = await connecting;
    peer.send("2");
    peer.send(`42["holdfast:entry","bench",1,"tag","message","${composePayload(0, 7)}"]`);
    await vi.waitFor(() => expect(subscriber.received).toBe(1));
    await vi.waitFor(() => expect(heard.at(-1)).toBe("3"));
    expect(deliveries).toEqual([7]);
    expect(failures).toEqual([]);
  });

  it("fails when the subscription is refused", async () => {
    const connecting = connect("channel");
    await vi.waitFor(() => expect(heard).toEqual(["40"]));
    peer.send('40{"sid":"s"}');
    await vi.waitFor(() => expect(heard).toHaveLength(2));
    peer.send('430[{"ok":false,"error":{"code":"CHANNEL_INVALID"}}]');
    await expect(connecting).rejects.toThrow("client 0 could not subscribe");
  });
});
