import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";
import { expect, test } from "vitest";
import { nodeToken, ownedSessionIds } from "./session-id.ts";

test("a session id begins with its node's token and is never the same twice", () => {
  const next = ownedSessionIds("web-0");
  const ids = Array.from({ length: 1000 }, next);
  for (const id of ids) expect(id).toMatch(/^Gub6xuCmxFI\.[\w-]{20}$/);
  expect(new Set(ids).size).toBe(1000);
  expect(nodeToken("web-1")).not.toBe(nodeToken("web-0"));
});

test("a Socket.IO server hands such ids out, by polling and by WebSocket", async () => {
  const http = createServer();
  const io = new Server(http);
  io.engine.generateId = ownedSessionIds("web-0");
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  for (const transport of ["polling", "websocket"]) {
    const socket = connect(`http://127.0.0.1:${(http.address() as AddressInfo).port}`, {
      transports: [transport],
      forceNew: true,
    });
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    expect(socket.io.engine.id).toMatch(/^Gub6xuCmxFI\./);
    socket.close();
  }
  await io.close();
});
