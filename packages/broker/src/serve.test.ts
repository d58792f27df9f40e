import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { available, bytes, WAIT } from "../test/feed.ts";
import { HELLO, servedBroker, TOKEN } from "../test/served-broker.ts";
import { encodeClient } from "./client-messages.ts";
import { PROTOCOL } from "./message-fields.ts";
import { serveBroker } from "./serve.ts";

const { keep, broker, ends, serve, connectTo, speakTo } = servedBroker();

describe("the server", () => {
  test("ends a connection of another protocol version with a code", async () => {
    const { port } = await serve();
    const client = speakTo(port);
    client.socket.write(encodeClient({ type: "hello", protocol: PROTOCOL + 1, token: TOKEN }));
    await client.closed;
    expect(client.bye).toBe("PROTOCOL_UNSUPPORTED");
  });

  test("takes no more connections than it may", async () => {
    const { url, port } = await serve({ maxConnections: 1 });
    const client = connectTo(url);
    await available(client);
    const second = speakTo(port);
    await second.closed;
    expect(second.bye).toBe("BROKER_UNAVAILABLE");
    await client.publish("c", bytes("x"));
  });

  test("ends a connection from which nothing comes any more", async () => {
    const { port } = await serve({ idleMs: 50 });
    const client = speakTo(port);
    client.socket.write(HELLO);
    await client.closed;
    expect(client.bye).toBe("SLOW_CONSUMER");
  });

  test("bounds the channels of one connection", async () => {
    const { url } = await serve({ maxChannels: 2 });
    const client = connectTo(url);
    for (const channel of ["a", "b"]) await client.subscribe(channel, () => undefined);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject({ code: "CHANNEL_LIMIT" });
  });

  test("leaves requests unread while a client does not take its answers, and serves them when it does", async () => {
    const { port } = await serve({ maxQueuedBytes: 8 * 1024 * 1024 });
    for (let n = 0; n < 20; n++) await broker().publish("c", new Uint8Array(200_000));
    const client = speakTo(port);
    client.socket.pause();
    client.socket.write(HELLO);
    const reads = Array.from({ length: 200 }, (_, id) =>
      encodeClient({ type: "history", id, channel: "c", backwards: false, from: undefined, limit: 10 }),
    );
    await new Promise((resolve) => client.socket.write(Buffer.concat(reads), resolve));
    client.socket.resume();
    await vi.waitFor(() => expect(client.answers.filter(({ type }) => type === "page")).toHaveLength(200), {
      ...WAIT,
      interval: 50,
    });
    expect(ends()).toEqual([]);
  });

  test("listens on a Unix domain socket, also where a killed server left one", async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-socket-"));
    keep(folder, () => rm(folder, { recursive: true }));
    const path = join(folder, "broker.sock");
    const code = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", code]), "exit");
    const { url } = await serve({ path });
    expect(url).toBe(`holdfast://${TOKEN}@unix:${path}`);
    expect(await connectTo(url).publish("c", bytes("x"))).toMatchObject({ position: { offset: 1 } });
    await expect(serve({ path })).rejects.toMatchObject({ code: "ADDRESS_UNAVAILABLE" });
    await expect(serve({ path: "relative.sock" })).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
  });

  test("refuses an address that it can't listen on", async () => {
    const { port } = await serve();
    const refused = { code: "ADDRESS_UNAVAILABLE", message: expect.stringContaining(`127.0.0.1:${port}`) };
    await expect(serveBroker(broker(), { port })).rejects.toMatchObject(refused);
  });

  test.each([{ token: "short" }, { port: 65_536 }, { maxConnections: 0 }, { idle: 5 }])(
    "refuses the options %j",
    async (options) => {
      await expect(serveBroker(broker(), options)).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
    },
  );

  test("makes a token of its own that is never the same", async () => {
    const [one, other] = [await serveBroker(broker()), await serveBroker(broker())];
    for (const served of [one, other]) keep(served, () => served.close());
    expect(one.url).toMatch(/^holdfast:\/\/[A-Za-z0-9_-]{32}@127\.0\.0\.1:\d+$/);
    expect(one.url.split("@")[0]).not.toBe(other.url.split("@")[0]);
  });
});
