import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, it } from "vitest";
import { receivedBytes } from "./received-bytes.ts";

/** Connects to a server that sends so many bytes and closes; resolves when all of them are here. */
async function receive(bytes: number): Promise<void> {
  const server = createServer((socket) => socket.end(Buffer.alloc(bytes)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  await once(socket.resume(), "close");
  server.close();
}

it("counts what the connections that this process makes receive, those that are closed too", async () => {
  const before = receivedBytes();
  await receive(1000);
  await receive(70_000);
  expect(receivedBytes() - before).toBe(71_000);
});

it("leaves out the connections to a port", async () => {
  const server = createServer((socket) => socket.write(Buffer.alloc(500)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const [all, others] = [receivedBytes(), receivedBytes(port)];
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "data");
  expect(receivedBytes() - all).toBe(500);
  expect(receivedBytes(port) - others).toBe(0);
  socket.destroy();
  server.close();
});
