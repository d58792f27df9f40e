import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, expect, it, vi } from "vitest";
import { handleOf, writeDirectly } from "./direct-write.ts";

const closers: (() => unknown)[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const closer of closers.splice(0)) closer();
});

/** Both ends of a TCP connection. */
async function pair(): Promise<{ readonly near: Socket; readonly far: Socket }> {
  const server = createServer({ pauseOnConnect: true });
  closers.push(() => server.close());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect((server.address() as { port: number }).port, "127.0.0.1");
  const [[far]] = await Promise.all([once(server, "connection"), once(near, "connect")]);
  for (const end of [near, far]) closers.push(() => end.destroy());
  return { near, far };
}

/** What ends are told of bytes that were under way. */
function writer() {
  const told: [number, Error | undefined][] = [];
  return { told, written: (bytes: number, error: Error | undefined) => void told.push([bytes, error]) };
}

/** Writes until the kernel takes no more. @returns how many writes it took */
function fill(near: Socket, bytes: Buffer, whose: ReturnType<typeof writer>): number {
  const handle = handleOf(near);
  if (!handle) throw new Error("this connection can't be written to directly");
  for (let taken = 0; ; taken++) {
    const outcome = writeDirectly(handle, bytes, whose);
    if (outcome === "under way") return taken;
    expect(outcome).toBe("taken");
  }
}

it("writes what the kernel takes, and has the rest under way until it did", async () => {
  const { near, far } = await pair();
  const whose = writer();
  const bytes = Buffer.from("0123456789".repeat(10_000));
  const taken = fill(near, bytes, whose);
  expect(taken).toBeGreaterThan(0);
  expect(handleOf(near), "while something is under way").toBeUndefined();
  // What is written to the stream comes after it.
  near.end("the end");
  expect(whose.told).toEqual([]);
  expect(await text(far)).toBe(`${bytes.toString().repeat(taken + 1)}the end`);
  expect(whose.told).toEqual([[bytes.length, undefined]]);
  expect(near.bytesWritten).toBe((taken + 1) * bytes.length + "the end".length);
});

it("tells of an error while something is under way, and refuses what comes after the end", async () => {
  const { near, far } = await pair();
  const whose = writer();
  near.on("error", () => {});
  const handle = handleOf(near);
  fill(near, Buffer.alloc(100_000), whose);
  far.resetAndDestroy();
  await expect.poll(() => whose.told.length).toBe(1);
  expect(whose.told).toEqual([[100_000, expect.any(Error)]]);
  near.destroy();
  expect(handleOf(near)).toBeUndefined();
  expect(handle && writeDirectly(handle, Buffer.alloc(1), whose)).toBe("refused");
});

it("leaves to the stream what is not a plain connection, and what somebody looks at", async () => {
  const { near } = await pair();
  expect(handleOf(new Duplex())).toBeUndefined();
  expect(handleOf(near)).toBeDefined();
  near.cork();
  expect(handleOf(near)).toBeUndefined();
  near.uncork();
  near.setTimeout(10_000);
  expect(handleOf(near)).toBeUndefined();
  near.setTimeout(0);
  expect(handleOf(near)).toBeDefined();
  for (const name of ["write", "_write", "_writeGeneric"] as const) {
    const spied = vi.spyOn(near as unknown as Record<typeof name, () => void>, name);
    expect(handleOf(near), name).toBeUndefined();
    spied.mockRestore();
  }
  near.write("x");
  near.end();
  expect(handleOf(near)).toBeUndefined();
});
