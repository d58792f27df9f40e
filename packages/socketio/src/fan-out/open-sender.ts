import { WebSocket } from "ws";
import { type EngineConnection, type EngineTransport, streamOf } from "../stock.ts";
import { handleOf } from "./direct-write.ts";
import type { OrderedSender } from "./ordered-sender.ts";
import { OrderedWebSocket } from "./ordered-web-socket.ts";

/** What Engine.IO tells about packets. */
const WATCHED: readonly string[] = ["packetCreate", "flush", "drain"];

/**
 * Where to write when it is as good as writing through Engine.IO: an open WebSocket without compression, with nothing
 * on its way anywhere, and nobody who listens to what Engine.IO tells about packets.
 */
export function openSender(connection: EngineConnection): OrderedSender | undefined {
  const { transport } = connection;
  if (!transport.writable || connection.writeBuffer.length > 0 || connection.upgrading) return undefined;
  const webSocket = transport.socket;
  if (!(webSocket instanceof OrderedWebSocket)) return undefined;
  const { sender } = webSocket;
  if (sender === undefined) return undefined;
  // It was looked at in this turn, and whatever was written to it since would have sent what it holds.
  if (sender.pending !== undefined) return sender;
  if (!isPlainAndOpen(connection, webSocket, sender)) return undefined;
  sender.handle = sender.underWay === 0 ? handleOf(sender.stream) : undefined;
  return sender;
}

/**
 * Writes frames now and together, to a WebSocket that takes them though Engine.IO has not been told yet that what it
 * wrote before has gone: nothing is on its way but in the kernel.
 *
 * @returns false where it is otherwise: then nothing was written
 */
export function writeAtOnce(connection: EngineConnection, frames: readonly Buffer[]): boolean {
  const webSocket = connection.transport.socket;
  if (connection.writeBuffer.length > 0 || connection.upgrading) return false;
  if (!(webSocket instanceof OrderedWebSocket)) return false;
  const { sender } = webSocket;
  if (sender === undefined || sender.pending !== undefined || sender.underWay > 0) return false;
  const { stream } = sender;
  if (stream.writableLength > 0 && stream.writableCorked === 0) return false;
  if (!isPlainAndOpen(connection, webSocket, sender)) return false;
  const bytes = Buffer.concat(frames);
  sender.disturbed();
  sender.lastWrite = bytes.length;
  stream.write(bytes);
  return true;
}

function isPlainAndOpen(
  connection: EngineConnection,
  webSocket: OrderedWebSocket,
  sender: OrderedSender,
): boolean {
  return (
    connection.readyState === "open" &&
    webSocket.readyState === WebSocket.OPEN &&
    connection.protocol === 4 &&
    connection.transport.supportsBinary &&
    sender.isPlain &&
    sender.isIdle &&
    sender.stream.writable &&
    !isWatched(connection)
  );
}

/** What is written to a WebSocket until this is called goes in one write, whoever writes it; unless something waits already. */
export function gatherWrites(connection: EngineConnection): () => void {
  const stream = streamOf(connection);
  if (!stream || stream.writableLength > 0 || stream.writableCorked > 0) return () => {};
  stream.cork();
  return () => stream.uncork();
}

/**
 * A sender that was found open stays so till it is disturbed: all that makes it another passes its WebSocket, but for
 * somebody who begins to listen. What else might change is found out at the next look.
 */
export function staysOpen(sender: OrderedSender, connection: EngineConnection, look: number): void {
  if (connection.listenerCount("newListener", onListener) === 0) connection.on("newListener", onListener);
  sender.openAt = look;
}

function onListener(this: EngineConnection, event: string): void {
  const { socket } = this.transport;
  if (WATCHED.includes(event) && socket instanceof OrderedWebSocket) socket.sender?.disturbed();
}

/** Whether somebody counts packets: they are told of each only on the ordinary path. */
function isWatched(connection: EngineConnection): boolean {
  return WATCHED.some((event) => connection.listenerCount(event) > 0);
}

export function isServerWatched({ server }: EngineConnection): boolean {
  return server.listenerCount("flush") > 0 || server.listenerCount("drain") > 0;
}

/** Bytes of a WebSocket's last write; without a bound where they are not known. */
export function lastWriteOf({ socket }: EngineTransport): number {
  const sender = socket instanceof OrderedWebSocket ? socket.sender : undefined;
  return sender ? sender.lastWrite : Number.POSITIVE_INFINITY;
}
