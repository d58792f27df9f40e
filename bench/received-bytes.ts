import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const connections: Socket[] = [];

// Every connection that Node.js makes is told of here, whichever library it is for.
subscribe("net.client.socket", (message) => {
  connections.push((message as { socket: Socket }).socket);
});

/**
 * Bytes that the connections this process has made have received, of those made since this module was loaded. For a
 * process with few connections: none is forgotten.
 *
 * @param besides a port whose connections aren't counted, as far as they are open
 */
export function receivedBytes(besides?: number): number {
  return connections
    .filter(({ remotePort }) => besides === undefined || remotePort !== besides)
    .reduce((sum, { bytesRead }) => sum + bytesRead, 0);
}
