import { once } from "node:events";
import { describe, expect, test, vi } from "vitest";
import { available, bytes, WAIT } from "../test/feed.ts";
import { HELLO, servedBroker, TOKEN } from "../test/served-broker.ts";
import { encodeClient } from "./client-messages.ts";
import { encodeFrame } from "./frame.ts";
import { seededRandom, testSeed } from "./testing.ts";

const { ends, serve, connectTo, speakTo } = servedBroker();

describe("a connection without the token", () => {
  test("is told so, and every call fails with the reason", async () => {
    const { url } = await serve();
    const client = connectTo(url.replace(TOKEN, "another-token-entirely"));
    const refused = { code: "TOKEN_REFUSED", retryable: false };
    await expect(client.publish("c", bytes("x"))).rejects.toMatchObject(refused);
    await expect(client.subscribe("c", () => undefined)).rejects.toMatchObject(refused);
    const statuses: unknown[] = [];
    client.watch((status) => statuses.push(status));
    expect(statuses).toMatchObject([{ type: "unavailable", error: refused }]);
  });

  test("is ended when it shows none in time", async () => {
    const { port } = await serve({ authenticationMs: 30 });
    const client = speakTo(port);
    await client.closed;
    expect(client.bye).toBe("TOKEN_REFUSED");
  });

  test("is ended when its first frame is larger than a hello can be, before that frame is there", async () => {
    const { port } = await serve();
    const client = speakTo(port);
    client.socket.write(Buffer.from([0, 0, 4, 1]));
    await client.closed;
    expect(client.bye).toBe("FRAME_INVALID");
  });

  test("is ended when it asks for anything first", async () => {
    const { port } = await serve();
    const client = speakTo(port);
    client.socket.write(
      encodeClient({ type: "history", id: 1, channel: "c", backwards: false, from: undefined, limit: 1 }),
    );
    await client.closed;
    expect(client.answers).toMatchObject([{ type: "bye", code: "FRAME_INVALID" }]);
  });

  test("cannot keep those that have it out", async () => {
    const { port, url } = await serve({ maxStrangers: 3 });
    const strangers = Array.from({ length: 10 }, () => speakTo(port));
    await Promise.all(strangers.map(({ socket }) => once(socket, "connect")));
    await available(connectTo(url));
    const dropped = () => strangers.filter(({ bye }) => bye === "TOKEN_REFUSED").length;
    await vi.waitFor(() => expect(dropped()).toBeGreaterThanOrEqual(7), WAIT);
  });
});

describe("hostile bytes", () => {
  const field = (...fields: (string | number | null | boolean | Uint8Array)[]) => encodeFrame(fields);
  const body = (...octets: number[]) => Buffer.from([0, 0, 0, octets.length, ...octets]);

  test.each([
    ["a frame over the bound", Buffer.from([0xff, 0xff, 0xff, 0xff])],
    ["an empty frame", body()],
    ["an unknown message", field(99)],
    ["a message of the wrong type", field("publish")],
    ["a negative number", field(2, -1, "c", bytes("x"), null, null, null)],
    ["a number that is none", field(2, Number.NaN, "c", bytes("x"), null, null, null)],
    ["text for bytes", field(2, 1, "c", "x", null, null, null)],
    ["a field too few", field(2, 1, "c")],
    ["a field too many", field(6, 1)],
    ["a second hello", HELLO],
    ["more channels than are there", field(4, 1000, "c")],
    ["more channels than a frame may name", field(4, 1001, ...Array(1001).fill("c"))],
    ["a name over every bound", field(4, 1, "c".repeat(2000))],
    ["an array", body(0x91, 0x01)],
    ["an array that claims to be huge", body(0x03, 0xdd, 0xff, 0xff, 0xff, 0xff)],
    ["a map with a key that poisons", body(0x81, 0xa9, ...Buffer.from("__proto__"), 0x01)],
    ["an extension", body(0xc7, 0x01, 0x05, 0x00)],
    ["text that claims to be longer than its frame", body(0x03, 0x01, 0xdb, 0x7f, 0xff, 0xff, 0xff)],
    ["a byte that MessagePack never uses", body(0xc1)],
  ])("like %s end their own connection with a code, and no other", async (_title, hostile) => {
    const { port, url } = await serve();
    const [other, client] = [connectTo(url), speakTo(port)];
    await available(other);
    client.socket.write(Buffer.concat([HELLO, hostile]));
    await client.closed;
    expect(client.bye).toBe("FRAME_INVALID");
    expect(ends().map(({ code }) => code)).toEqual(["FRAME_INVALID"]);
    await other.publish("c", bytes("still here"));
  });

  test("of any kind leave the server standing", async () => {
    const { port, url } = await serve();
    const random = seededRandom(testSeed());
    const other = connectTo(url);
    await available(other);
    const valid = [
      encodeClient({ type: "subscribe", channels: ["c", "d"] }),
      encodeClient({
        type: "publish",
        id: 7,
        channel: "c",
        data: bytes("x"),
        key: "k",
        retention: undefined,
      }),
      encodeClient({
        type: "history",
        id: 8,
        channel: "c",
        backwards: false,
        from: { epoch: "e", offset: 1, tag: "t" },
        limit: 5,
      }),
    ];
    for (let round = 0; round < 150; round++) {
      const client = speakTo(port);
      const frames = Array.from({ length: 5 }, () => {
        const frame = Buffer.from(random.pick(valid));
        for (let flips = random.below(4); flips > 0; flips--)
          frame[random.below(frame.length)] = random.below(256);
        return frame.subarray(0, frame.length - random.below(3));
      });
      client.socket.end(Buffer.concat([random.below(5) === 0 ? Buffer.alloc(0) : HELLO, ...frames]));
      await client.closed;
    }
    await other.publish("still", bytes("here"));
  });

  test("are taken in pieces of one byte", async () => {
    const { port } = await serve();
    const client = speakTo(port);
    await once(client.socket, "connect");
    client.socket.setNoDelay(true);
    const publish = encodeClient({
      type: "publish",
      id: 5,
      channel: "c",
      data: bytes("x"),
      key: undefined,
      retention: undefined,
    });
    for (const octet of Buffer.concat([HELLO, publish])) {
      client.socket.write(Buffer.from([octet]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitFor(() => expect(client.answers.at(-1)).toMatchObject({ type: "published", id: 5 }), WAIT);
  });
});
