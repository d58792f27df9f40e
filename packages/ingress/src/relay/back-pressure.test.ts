import { createHash } from "node:crypto";
import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, expect, test, vi } from "vitest";
import { RawClient, upgradeHead } from "../../test/clients.ts";
import { startPod } from "../../test/pods.ts";
import { seededRandom } from "../../test/random.ts";
import { cleanUp, serve } from "../../test/serve.ts";

afterEach(cleanUp);

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const MIB = 1024 * 1024;

/** Bytes that no other place holds, in pieces of every size, so that one that is lost, doubled or overwritten is noticed. */
function* pieces(total: number, seed: number): Generator<Buffer> {
  const random = seededRandom(seed);
  for (let left = total; left > 0; ) {
    const piece = Buffer.alloc(Math.min(left, 1 + (random() % 100_000)));
    for (let at = 0; at + 4 <= piece.length; at += 32) piece.writeUInt32LE(random(), at);
    left -= piece.length;
    yield piece;
  }
}

/** Bytes of buffers that somebody still holds. */
async function heldBytes(): Promise<number> {
  // A buffer's memory is given back some time after the buffer.
  for (let round = 0; round < 4; round++) {
    collectGarbage();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().arrayBuffers;
}

function hashOf(total: number, seed: number): string {
  const hash = createHash("sha256");
  for (const piece of pieces(total, seed)) hash.update(piece);
  return hash.digest("hex");
}

test("many clients that don't read cost little memory, and in the end each has its own bytes", async () => {
  const clients = 8;
  const total = 12 * MIB;
  const pod = await startPod("web", {
    handle: (request, response) => {
      const seed = Number(request.url?.slice(1));
      response.setHeader("Content-Length", total);
      pipeline(Readable.from(pieces(total, seed), { highWaterMark: 1 }), response).catch(() => {});
    },
  });
  const served = await serve([pod]);
  const before = await heldBytes();
  const answers = await Promise.all(
    Array.from({ length: clients }, async (_, seed) => {
      const outgoing = httpRequest({ ...served, path: `/${seed}`, agent: false }).end();
      return await new Promise<Readable>((resolve) => outgoing.on("response", resolve));
    }),
  );
  // Nobody reads: what the kernel takes is taken soon.
  let taken = -1;
  await vi.waitFor(
    () => {
      const now = [...pod.connections].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);
      const still = now === taken;
      taken = now;
      expect(still).toBe(true);
    },
    { interval: 200, timeout: 8000 },
  );
  expect(taken).toBeLessThan(clients * total);
  // Pods and clients are in this process too.
  expect((await heldBytes()) - before).toBeLessThan(clients * MIB);
  const hashes = answers.map(async (answer) => {
    const hash = createHash("sha256");
    for await (const bytes of answer) hash.update(bytes as Buffer);
    return hash.digest("hex");
  });
  expect(await Promise.all(hashes)).toEqual(answers.map((_, seed) => hashOf(total, seed)));
});

test("bodies and upgraded connections arrive unchanged at sides that read slowly", async () => {
  const total = 6 * MIB;
  const heard: Promise<string>[] = [];
  const slowly = async (from: Readable) => {
    const hash = createHash("sha256");
    let count = 0;
    for await (const bytes of from) {
      hash.update(bytes as Buffer);
      if (++count % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return hash.digest("hex");
  };
  const pod = await startPod("web", {
    handle: (request, response) => {
      const body = slowly(request);
      heard.push(body);
      void body.then(() => response.end("heard"));
    },
    upgrade: (_request, socket, head) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      if (head.length > 0) socket.unshift(head);
      heard.push(slowly(socket).finally(() => socket.end()));
    },
  });
  const served = await serve([pod]);
  const upload = httpRequest({ ...served, method: "POST", agent: false });
  const answered = new Promise((resolve) => upload.on("response", resolve));
  await pipeline(Readable.from(pieces(total, 1)), upload);
  await answered;
  const upgraded = await RawClient.open(served, upgradeHead());
  await vi.waitFor(() => expect(upgraded.received).toMatch(/ 101 /));
  await pipeline(Readable.from(pieces(total, 2)), upgraded.socket);
  await vi.waitFor(() => expect(upgraded.ended).toBe(true), 10_000);
  expect(await Promise.all(heard)).toEqual([hashOf(total, 1), hashOf(total, 2)]);
});
