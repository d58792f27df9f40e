import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Dialect } from "./calls.ts";
import { Client } from "./client.ts";
import { exchangeUntil } from "./closed-loop.ts";
import { ANSWER, echoOf, HANDSHAKE_ANSWER } from "./wire.ts";

const servers = new Set<Server>();
const sockets = new Set<Socket>();
let failed = Promise.withResolvers<never>();

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

/** A client of a server that does this with whatever comes. */
async function clientOf(dialect: Dialect, onData: (socket: Socket, bytes: Buffer) => void): Promise<Client> {
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    let upgraded = dialect === "http";
    socket.on("data", (bytes: Buffer) => {
      if (upgraded) onData(socket, bytes);
      else socket.write(HANDSHAKE_ANSWER);
      upgraded = true;
    });
  });
  servers.add(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  return await Client.open({ port, dialect, onFailure: failed.reject });
}

function exchange(client: Client): Promise<void> {
  return Promise.race([new Promise<void>((resolve) => client.exchange(resolve)), failed.promise]);
}

/** So that what is written next comes apart from what was written before. */
function inParts(socket: Socket, bytes: Buffer): void {
  socket.setNoDelay();
  for (const byte of bytes) socket.write(Buffer.of(byte));
}

describe("Client", () => {
  it("takes an answer in parts", async () => {
    const client = await clientOf("http", (socket) => inParts(socket, ANSWER));
    await exchange(client);
    await exchange(client);
    await client.close();
  });

  it("takes the echo of its own message, in parts", async () => {
    const client = await clientOf("webSocket", (socket, bytes) => inParts(socket, echoOf(bytes)));
    await exchange(client);
    await exchange(client);
  });

  it.each([
    ["another status", ANSWER.toString().replace("200 OK", "502 Bad Gateway")],
    ["another body", ANSWER.toString().replace("quick", "slow!")],
    ["more than the answer", ANSWER.toString() + ANSWER.toString()],
    ["a body of another framing", ANSWER.toString().replace("Content-Length: 32", "Connection: close")],
  ])("refuses %s", async (_what, text) => {
    const client = await clientOf("http", (socket) => socket.write(text));
    await expect(exchange(client)).rejects.toThrow("this is no answer over http");
  });

  it("refuses the echo of another message", async () => {
    let first: Buffer | undefined;
    const client = await clientOf("webSocket", (socket, bytes) => {
      first ??= echoOf(Buffer.from(bytes));
      socket.write(first);
    });
    await exchange(client);
    await expect(exchange(client)).rejects.toThrow("this is no answer over webSocket");
  });

  it("fails when its connection is closed", async () => {
    const client = await clientOf("http", (socket) => socket.end());
    await expect(exchange(client)).rejects.toThrow("the connection was closed");
  });
});

describe("exchangeUntil", () => {
  it("counts every exchange that was begun", async () => {
    let answered = 0;
    const client = await clientOf("http", (socket) => {
      answered++;
      socket.write(ANSWER);
    });
    const { count, seconds, p50, p99 } = await exchangeUntil([client], (begun) => begun >= 20);
    expect(count).toBe(20);
    expect(answered).toBe(20);
    expect(p50).toBeLessThanOrEqual(p99);
    expect(p99).toBeLessThanOrEqual(seconds * 1000);
  });
});
