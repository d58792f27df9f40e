import { afterEach, expect, test, vi } from "vitest";
import { RawClient } from "../../test/clients.ts";
import { loadBalancerOf, SERVICE, serviceOf } from "../../test/models.ts";
import { startRawPod } from "../../test/raw-pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";
import { Learning } from "./learning.ts";

afterEach(cleanUp);

const HANDSHAKE = '0{"sid":"of-a-foreign-server-1"}';
const LENGTH = HANDSHAKE.length;

const following = {
  loadBalancers: [loadBalancerOf({ hosts: [], defaultBackend: SERVICE }, { sessionAffinity: true })],
  backendServices: new Map([[SERVICE, serviceOf(SERVICE)]]),
};
const poll = (query: string) => `GET /socket.io/?EIO=4&transport=polling${query} HTTP/1.1\r\nHost: x\r\n\r\n`;

test.each([
  ["a length", `HTTP/1.1 200 OK\r\nContent-Length: ${LENGTH}\r\n\r\n${HANDSHAKE}`],
  [
    "a length, in two pieces",
    `HTTP/1.1 200 OK\r\nContent-Length: ${LENGTH}\r\n\r\n0{"si|${HANDSHAKE.slice(5)}`,
  ],
  [
    "chunks",
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n0{"\r\n1d\r\n${HANDSHAKE.slice(3)}|\r\n0\r\n\r\n`,
  ],
  ["the connection's end", `HTTP/1.1 200 OK\r\n\r\n${HANDSHAKE.slice(0, 9)}|${HANDSHAKE.slice(9)}|`],
])(
  "a session is known before its client is told of it, and the answer is whole, with %s",
  async (_what, answer) => {
    const pieces = answer.split("|");
    const pod = await startRawPod(({ socket, received }) => {
      if (!received.endsWith("\r\n\r\n")) return;
      // Apart, so that they are read one by one; nothing is to be seen of one before it is learnt from all.
      for (const [index, piece] of pieces.entries()) {
        setTimeout(() => (piece === "" ? socket.end() : socket.write(piece)), index * 30);
      }
    });
    const served = await serve([pod], { model: following });
    const client = await RawClient.open(served, poll(""));
    await vi.waitFor(() => expect(served.requests()).toHaveLength(1));
    await vi.waitFor(() =>
      expect(client.received.replace(/^.*?\r\n\r\n/s, "")).toBe(pieces.join("").replace(/^.*?\r\n\r\n/s, "")),
    );
    expect(served.ingress.ownerOfSession(SERVICE, "of-a-foreign-server-1")).toMatch(/^127\.0\.0\.9:/);
  },
);

test("an answer that breaks off before anything was learnt from it is answered for with 502", async () => {
  const pod = await startRawPod(({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n0{", () => setTimeout(() => socket.end(), 30));
  });
  const served = await serve([pod], { model: following });
  const client = await RawClient.open(served, poll(""));
  await vi.waitFor(() => expect(client.received).toMatch(/^HTTP\/1\.1 502 /));
  expect(served.requests()).toMatchObject([{ outcome: "pod-closed", status: 502 }]);
});

test("no more is held back than it takes", () => {
  const learnt: string[] = [];
  const learning = new Learning(5000, "head", (bytes) => learnt.push(bytes.toString()));
  expect(learning.add(Buffer.alloc(1000, "a"), 0, 1000)).toBe(false);
  expect(learning.add(Buffer.alloc(4000, "b"), 0, 4000)).toBe(true);
  expect(learnt).toEqual(["a".repeat(1000) + "b".repeat(24)]);
  expect(learning.bytes.length).toBe(5000);
});
