import { createHash } from "node:crypto";
import { type AddressInfo, connect, createServer, type Server, Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterEach, describe, expect, test, vi } from "vitest";
import { seededRandom } from "../../test/random.ts";
import { openPeer } from "./handle-peer.ts";
import type { Peer, PeerHandler } from "./peer.ts";
import { StreamPeer } from "./stream-peer.ts";

const open: (Server | Socket)[] = [];

afterEach(() => {
  for (const one of open.splice(0)) one instanceof Socket ? one.destroy() : one.close();
});

/** Two ends of a connection, both half-open. */
async function pair(): Promise<[near: Socket, far: Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const far = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const near = await new Promise<Socket>((resolve) => server.once("connection", resolve));
  open.push(near, far);
  far.on("error", () => {});
  return [near, far];
}

/** Remembers what it is told. */
class Told implements PeerHandler {
  text = "";
  readonly calls: string[] = [];
  received(buffer: Buffer, length: number): void {
    this.text += buffer.toString("latin1", 0, length);
  }
  drained(): void {
    this.calls.push("drained");
  }
  ended(): void {
    this.calls.push("ended");
  }
  closed(): void {
    this.calls.push("closed");
  }
}

const OPENERS: [string, (socket: Socket, handler: PeerHandler) => Peer][] = [
  ["on the handle", openPeer],
  [
    "over the stream",
    (socket, handler) => {
      const peer = new StreamPeer(socket, handler);
      socket.resume();
      return peer;
    },
  ],
];

test("the socket's handle is used where it is known, and streams that have none go through themselves", async () => {
  const [near] = await pair();
  expect(openPeer(near, new Told())).not.toBeInstanceOf(StreamPeer);
  const other = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  expect(openPeer(other, new Told())).toBeInstanceOf(StreamPeer);
});

describe.each(OPENERS)("a peer %s", (_what, openAs) => {
  test("reads, writes, and tells of both ends' ends", async () => {
    const [near, far] = await pair();
    const told = new Told();
    const peer = openAs(near, told);
    const heard = new Told();
    far.on("data", (bytes: Buffer) => heard.received(bytes, bytes.length));
    far.on("end", () => heard.ended());
    far.write("ping \xff", "latin1");
    await vi.waitFor(() => expect(told.text).toBe("ping \xff"));
    expect(peer.writeText("pong \xfe ")).toBe(true);
    expect(peer.write(Buffer.from("again"))).toBe(true);
    await vi.waitFor(() => expect(heard.text).toBe("pong \xfe again"));
    far.end();
    await vi.waitFor(() => expect(told.calls).toEqual(["ended"]));
    peer.writeText("after you");
    peer.end();
    await vi.waitFor(() => expect(heard.text).toMatch(/after you$/));
    await vi.waitFor(() => expect(told.calls).toEqual(["ended", "closed"]));
    expect(heard.calls).toEqual(["ended"]);
  });

  test("reads nothing while it is paused", async () => {
    const [near, far] = await pair();
    const told = new Told();
    const peer = openAs(near, told);
    peer.pause();
    far.write("held");
    // That nothing comes is all there is to see.
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(told.text).toBe("");
    peer.resume();
    await vi.waitFor(() => expect(told.text).toBe("held"));
  });

  test("holds back what isn't taken, says so, and when that is over", async () => {
    const [near, far] = await pair();
    const told = new Told();
    const peer = openAs(near, told);
    const chunk = Buffer.alloc(256 * 1024, "x");
    let sent = chunk.length;
    while (peer.write(chunk)) sent += chunk.length;
    expect(peer.clogged).toBe(true);
    expect(peer.queued).toBeGreaterThan(0);
    expect(peer.queued).toBeLessThanOrEqual(2 * chunk.length);
    let heard = 0;
    far.on("data", (bytes: Buffer) => {
      heard += bytes.length;
    });
    await vi.waitFor(() => expect(told.calls).toEqual(["drained"]));
    expect(peer.clogged).toBe(false);
    await vi.waitFor(() => expect(heard).toBe(sent));
  });

  test("is told when the other side resets the connection, and takes no harm from writing to it", async () => {
    const [near, far] = await pair();
    const told = new Told();
    const peer = openAs(near, told);
    far.resetAndDestroy();
    await vi.waitFor(() => {
      peer.writeText("to nobody");
      expect(told.calls).toContain("closed");
    });
    peer.write(Buffer.from("to nobody"));
    peer.pause();
    peer.resume();
    peer.end();
    peer.destroy();
    expect(told.calls.filter((call) => call === "closed")).toHaveLength(1);
    expect(peer.queued).toBe(0);
  });

  test("can be destroyed by its handler, in the middle of what it is told", async () => {
    const [near, far] = await pair();
    const told = new Told();
    const peer: Peer = openAs(
      near,
      Object.assign(told, {
        received: () => {
          peer.destroy();
          peer.writeText("late");
        },
      }),
    );
    far.write("x");
    await vi.waitFor(() => expect(told.calls).toEqual(["closed"]));
  });

  test("resets a connection so that the other side knows", async () => {
    const [near, far] = await pair();
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => far.once("error", resolve));
    openAs(near, new Told()).reset();
    expect((await failed).code).toBe("ECONNRESET");
  });
});

test("takes what was read before it was opened", async () => {
  const [near, far] = await pair();
  near.unshift(Buffer.from("early "));
  const told = new Told();
  openPeer(near, told);
  far.write("late");
  await vi.waitFor(() => expect(told.text).toBe("early late"));
});

test.each([
  ["handle to handle", openPeer, openPeer],
  ["handle to stream", openPeer, OPENERS[1]?.[1] ?? openPeer],
] as const)("what it lends is not overwritten before it has left: %s", async (_what, openFrom, openTo) => {
  const [nearSource, source] = await pair();
  const [nearSink, sink] = await pair();
  const random = seededRandom();
  const to: { peer?: Peer } = {};
  const from = openFrom(nearSource, {
    received: (buffer, length) => {
      // Never held up, unlike a relay: as much as can be is under way at a time.
      to.peer?.write(buffer.subarray(0, length));
    },
    drained: () => {},
    ended: () => to.peer?.end(),
    closed: () => {},
  });
  to.peer = openTo(nearSink, new Told());
  const sent = createHash("sha256");
  const heard = createHash("sha256");
  const whole = new Promise<void>((resolve) => sink.on("end", resolve));
  for (let size = 0; size < 8 * 1024 * 1024; ) {
    const chunk = Buffer.alloc(1 + (random() % 100_000));
    for (let at = 0; at < chunk.length; at += 64) chunk[at] = random();
    sent.update(chunk);
    source.write(chunk);
    size += chunk.length;
  }
  source.end();
  // What is not taken has to wait, and then to be read from where it waits.
  await vi.waitFor(() => expect(to.peer?.queued).toBeGreaterThan(0));
  sink.on("data", (bytes: Buffer) => heard.update(bytes));
  await whole;
  expect(heard.digest("hex")).toBe(sent.digest("hex"));
  from.destroy();
});
