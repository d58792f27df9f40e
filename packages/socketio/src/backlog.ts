import type { Socket } from "socket.io";
import { connectionOf } from "./stock.ts";

/** About what a packet object costs beside its data, which all sockets of a broadcast share. */
export const PACKET_OVERHEAD = 64;

/** Bytes that wait for this client: in Engine.IO's queue, and in the WebSocket's on the way to the kernel. */
export function queuedBytes(socket: Socket): number {
  const connection = connectionOf(socket);
  let bytes = connection.transport.socket?.bufferedAmount ?? 0;
  for (const packet of connection.writeBuffer) bytes += (packet.data?.length ?? 0) + PACKET_OVERHEAD;
  return bytes;
}

/** Resolves once some of what waits for this client has gone out, or the connection has ended. */
export function nextDrain(socket: Socket): Promise<void> {
  const connection = connectionOf(socket);
  const transport = connection.transport;
  return new Promise((resolve) => {
    if (connection.readyState === "closed") return resolve();
    const done = () => {
      connection.off("drain", done);
      connection.off("close", done);
      transport.off("drain", done);
      resolve();
    };
    connection.on("drain", done);
    connection.on("close", done);
    transport.on("drain", done);
    // What a fan-out holds back goes out when the turn ends; if the kernel takes it all, nobody says so.
    if (transport.writable) setImmediate(done);
  });
}

/** Ends the connection without waiting for the client to read what is queued; the client connects anew. */
export function cutOff(socket: Socket): void {
  const connection = connectionOf(socket);
  const webSocket = connection.transport.socket;
  connection.close(true);
  webSocket?.terminate?.();
}
