import { EventEmitter } from "node:events";
import type { Socket } from "socket.io";
import type { EngineConnection } from "./internals.ts";
import { SharedTexts } from "./shared-texts.ts";
import { SmallMap } from "./small-map.ts";

// What Holdfast knows of how Node.js, Engine.IO 6 and Socket.IO 4 keep a connection, beyond their documentation, so that
// one that is idle takes less memory. Each of them is looked at before: what is not as it was known is left as it is.

type Listeners = Record<PropertyKey, unknown>;

/** Node.js makes an emitter's listeners a hash table: several times as large as an object with fields. */
class Fields {}
Reflect.deleteProperty(Fields.prototype, "constructor");
Object.setPrototypeOf(Fields.prototype, null);

const texts = new SharedTexts();

/** Whether listeners that were moved are called, counted, found and taken away as before. */
const CAN_MOVE = (() => {
  const emitter = new EventEmitter();
  let told = 0;
  const tell = () => told++;
  emitter.on("a", tell).once("a", tell).on("b", tell);
  move(emitter);
  emitter.emit("a");
  emitter.emit("constructor");
  emitter.on("c", tell).off("b", tell).emit("b");
  emitter.emit("c");
  const isWhole = told === 3 && emitter.listenerCount("a") === 1 && emitter.eventNames().join() === "a,c";
  const symbol = Symbol("s");
  emitter.on(symbol, tell);
  move(emitter);
  return isWhole && emitter.emit(symbol) && told === 4;
})();

function move(emitter: EventEmitter): void {
  const holder = emitter as unknown as { _events?: Listeners; readonly _eventsCount: number };
  const listeners = holder._events;
  if (!listeners) return;
  const fields = new Fields() as Listeners;
  let moved = 0;
  for (const name in listeners) {
    // Node's streams keep a place for what most of them are listened to for.
    if (listeners[name] === undefined) continue;
    fields[name] = listeners[name];
    moved++;
  }
  // Symbols are not gone through, and rare.
  if (moved === holder._eventsCount) holder._events = fields;
}

function compactListeners(emitter: EventEmitter | undefined): void {
  if (CAN_MOVE && emitter) move(emitter);
}

/** An array that something was appended to has room for 16 more. */
function compactArray(holder: Record<string, unknown> | undefined, name: string): void {
  const array = holder?.[name];
  if (holder && Array.isArray(array)) holder[name] = array.slice();
}

function compactMap(holder: Record<string, unknown>, name: string): void {
  const map = holder[name];
  if (map instanceof Map && map.size <= 1) holder[name] = new SmallMap(map);
}

interface OpenWebSocket extends EventEmitter {
  readonly _receiver?: EventEmitter;
  readonly _socket?: EventEmitter & { readonly _peername?: { address?: string } };
}

function compactWebSocket(webSocket: OpenWebSocket): void {
  // Engine.IO takes away its listener of errors before the transport's own only where it upgrades.
  const listeners = webSocket.listeners("error");
  const early = listeners.find(({ name }) => name === "onUpgradeError");
  if (early && listeners.length > 1) webSocket.off("error", early as () => void);
  const { _receiver: receiver, _socket: stream } = webSocket;
  const peer = stream?._peername;
  if (typeof peer?.address === "string") peer.address = texts.share(peer.address);
  compactListeners(webSocket);
  compactListeners(receiver);
  compactListeners(stream);
}

/** Makes an Engine.IO connection over a WebSocket smaller, once Socket.IO has its listeners on it. */
export function compactConnection(connection: EngineConnection): void {
  const { transport } = connection;
  // Told of polling transports alone.
  transport.removeAllListeners("headers");
  const webSocket = transport.socket as unknown as OpenWebSocket | undefined;
  if (webSocket) compactWebSocket(webSocket);
  compactListeners(transport);
  compactListeners(connection);
  const from = connection as unknown as { remoteAddress?: unknown };
  if (typeof from.remoteAddress === "string") from.remoteAddress = texts.share(from.remoteAddress);
  compactArray(connection as unknown as Record<string, unknown>, "cleanupFn");
}

/** Makes a socket smaller, and the client that it is of, before the program knows it. */
export function compactSocket(socket: Socket): void {
  const { handshake } = socket;
  handshake.time = texts.share(handshake.time);
  handshake.address = texts.share(handshake.address);
  compactListeners(socket);
  compactMap(socket as unknown as Record<string, unknown>, "acks");
  const client = socket.client as unknown as Record<string, unknown> & { decoder?: { _callbacks?: unknown } };
  compactMap(client, "sockets");
  compactMap(client, "nsps");
  compactArray(client.decoder?._callbacks as Record<string, unknown> | undefined, "$decoded");
}
