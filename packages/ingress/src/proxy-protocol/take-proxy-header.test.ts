import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { proxied } from "../../test/proxy-headers.ts";
import { takeProxyHeader } from "./take-proxy-header.ts";

const servers = new Set<Server>();
const sockets = new Set<Socket>();
afterEach(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
  servers.clear();
  sockets.clear();
});

/** A server that takes the header off and notes what it said and what followed it. */
async function open({ timeoutMs = 10_000 } = {}) {
  const notes: unknown[] = [];
  let rest = "";
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    takeProxyHeader(socket, timeoutMs, {
      taken: (header) => {
        notes.push(header.ends?.source);
        socket.setEncoding("latin1").on("data", (text) => {
          rest += text;
        });
        socket.resume();
      },
      failed: (cause) => notes.push(cause),
    });
  });
  servers.add(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1").resume();
  sockets.add(client.setNoDelay(true));
  return { client, notes, rest: () => rest };
}

test("gives what follows the header to whoever reads next, however it was cut", async () => {
  const bytes = Buffer.concat([proxied("192.0.2.1", 1, "192.0.2.2", 2), Buffer.from("the client's own")]);
  for (const cut of [bytes.length, 1, 12, 16, 27, 28, 30]) {
    const { client, notes, rest } = await open();
    client.write(bytes.subarray(0, cut));
    // So it is read alone; nothing is to be seen of a part.
    if (cut < 28) await new Promise((resolve) => setTimeout(resolve, 5));
    client.write(bytes.subarray(cut));
    client.write(" and more");
    await vi.waitFor(() => expect(rest()).toBe("the client's own and more"));
    expect(notes).toEqual(["192.0.2.1"]);
  }
});

test("closes a connection that begins with anything else", async () => {
  const { client, notes } = await open();
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(client, "close");
  expect(notes).toEqual(["malformed"]);
});

test("closes a connection whose header takes too long", async () => {
  const { client, notes } = await open({ timeoutMs: 50 });
  client.write("PROXY ");
  await once(client, "close");
  expect(notes).toEqual(["timeout"]);
});

test("ends with its client", async () => {
  const { client, notes } = await open();
  client.write("PROXY ");
  await vi.waitFor(() => expect(client.bytesWritten).toBe(6));
  client.resetAndDestroy();
  await vi.waitFor(() => expect(notes).toEqual(["closed"]));
});
