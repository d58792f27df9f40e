import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { Socket } from "socket.io";
import { type EngineConnection, slimConnection, slimSocket, streamOf } from "../stock.ts";
import { SharedTexts } from "./shared-texts.ts";
import { SmallMap } from "./small-map.ts";

// How an idle connection takes less memory, with what is used for it of Node.js beyond its documentation: where an emitter
// keeps its listeners, and a TCP connection its peer's address. What is not as it was known is left as it is.

/** How one thing that a connection keeps is made smaller, where it is what it was known to be. */
export interface Slimming {
  listeners(emitter: EventEmitter | undefined): void;
  /** Takes away the first that is meant. */
  listener(
    emitter: EventEmitter | undefined,
    event: string,
    isMeant: (listener: () => void) => boolean,
  ): void;
  array(holder: object | undefined, field: string): void;
  map(holder: object, field: string): void;
  text(holder: object | undefined, field: string): void;
}

type Fields = Record<PropertyKey, unknown>;

/** Node.js makes an emitter's listeners a hash table: several times as large as an object with fields. */
class Listeners {}
Reflect.deleteProperty(Listeners.prototype, "constructor");
Object.setPrototypeOf(Listeners.prototype, null);

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
  const holder = emitter as unknown as { _events?: Fields; readonly _eventsCount: number };
  const listeners = holder._events;
  if (!listeners) return;
  const fields = new Listeners() as Fields;
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

const SLIMMING: Slimming = {
  listeners(emitter) {
    if (CAN_MOVE && emitter instanceof EventEmitter) move(emitter);
  },
  listener(emitter, event, isMeant) {
    const listener = (emitter?.listeners(event) as (() => void)[] | undefined)?.find(isMeant);
    if (listener) emitter?.off(event, listener);
  },
  /** One that something was appended to has room for 16 more. */
  array(holder: Fields | undefined, field) {
    const array = holder?.[field];
    if (holder && Array.isArray(array)) holder[field] = array.slice();
  },
  map(holder: Fields, field) {
    const map = holder[field];
    if (map instanceof Map && map.size <= 1) holder[field] = new SmallMap(map);
  },
  text(holder: Fields | undefined, field) {
    const text = holder?.[field];
    if (holder && typeof text === "string") holder[field] = texts.share(text);
  },
};

/** Makes an Engine.IO connection over a WebSocket smaller, once Socket.IO has its listeners on it. */
export function compactConnection(connection: EngineConnection): void {
  slimConnection(connection, SLIMMING);
  const stream = streamOf(connection) as (Duplex & { readonly _peername?: object }) | undefined;
  SLIMMING.text(stream?._peername, "address");
  SLIMMING.listeners(stream);
}

/** Makes a socket smaller, and the client that it is of, before the program knows it. */
export function compactSocket(socket: Socket): void {
  const { handshake } = socket;
  handshake.time = texts.share(handshake.time);
  handshake.address = texts.share(handshake.address);
  SLIMMING.listeners(socket);
  slimSocket(socket, SLIMMING);
}
