import type { EventEmitter } from "node:events";
import type { Socket } from "socket.io";

/** What Engine.IO 6 and `ws` 8 keep about bytes that a client has not read. None of it is in their types. */
interface EngineConnection extends EventEmitter {
  readonly readyState: string;
  readonly writeBuffer: readonly { readonly data?: string | Uint8Array }[];
  readonly transport: EventEmitter & {
    readonly socket?: { readonly bufferedAmount?: number; terminate?(): void };
  };
  close(discard?: boolean): void;
}

/** About what a packet object costs beside its data, which all sockets of a broadcast share. */
const PACKET_OVERHEAD = 64;

/** Bytes that wait for this client: in Engine.IO's queue, and in the WebSocket's on the way to the kernel. */
export function queuedBytes(socket: Socket): number {
  const connection = engine(socket);
  let bytes = connection.transport.socket?.bufferedAmount ?? 0;
  for (const packet of connection.writeBuffer) bytes += (packet.data?.length ?? 0) + PACKET_OVERHEAD;
  return bytes;
}

/** Resolves once some of what waits for this client has gone out, or the connection has ended. */
export function nextDrain(socket: Socket): Promise<void> {
  const connection = engine(socket);
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
  });
}

/** Ends the connection without waiting for the client to read what is queued; the client connects anew. */
export function cutOff(socket: Socket): void {
  const connection = engine(socket);
  const webSocket = connection.transport.socket;
  connection.close(true);
  webSocket?.terminate?.();
}

function engine(socket: Socket): EngineConnection {
  return socket.conn as unknown as EngineConnection;
}
