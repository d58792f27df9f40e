import type { EventEmitter } from "node:events";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { connectionMisfit, type EngineConnection, REQUEST_FIELDS } from "../stock.ts";
import { compactConnection } from "./idle-connection.ts";
import { SharedTexts } from "./shared-texts.ts";

const KEPT = /^(headers|method|url|httpVersion|socket|_readableState|Symbol\(kHeaders\))$/;

/** What Node.js keeps on a request that is over, beside what it says: asked of the Node.js that runs. */
const LEFT_OVER = Reflect.ownKeys(new IncomingMessage(new Socket()).on("close", () => {})).filter(
  (key) => !KEPT.test(String(key)),
);

/** Of what stays, values that Node.js and Engine.IO have put there: no accessors, nothing hidden. */
const PLAIN = new Set<unknown>([
  ...["_readableState", "httpVersion", "method", "socket", "url"],
  ...REQUEST_FIELDS,
]);

/** One stream, ended, in the place of each request's own. */
const ENDED = (Readable.from([]).destroy() as unknown as { _readableState: unknown })._readableState;

const texts = new SharedTexts();

/** Makes all connections of an Engine.IO server that is known smaller, once they are WebSockets: see `slimRequest`. */
export function slimConnections(engine: EventEmitter): void {
  let isKnown: boolean | undefined;
  engine.on("connection", (connection: EngineConnection) => {
    isKnown ??= connectionMisfit(connection) === undefined;
    if (!isKnown) return;
    const slim = () => {
      if (connection.request) slimRequest(connection.request);
      compactConnection(connection);
    };
    if (connection.transport.name === "websocket") slim();
    else connection.once("upgrade", slim);
  });
}

/**
 * Lets go of what nobody needs of the request that a connection began with: Node.js keeps some 2 KiB of it for as long as
 * the connection lives. What stays is what Socket.IO's documentation tells of `socket.request`: its headers, its URL and
 * query, its method and its TCP connection, and all that a middleware has put on it.
 *
 * What goes is the stream of its (empty) body, and `rawHeaders` and `trailers`, with what Node.js makes of them.
 */
export function slimRequest(request: IncomingMessage): void {
  if (!(request instanceof IncomingMessage) || isAwaited(request)) return;
  // They are made of `rawHeaders` when they are first asked for.
  const { headers } = request;
  for (const name in headers) {
    const value = headers[name];
    if (typeof value === "string" && name !== "cookie" && name !== "sec-websocket-key") {
      headers[name] = texts.share(value);
    }
  }
  request.url = texts.share(request.url ?? "");
  const own = request as unknown as Record<string | symbol, unknown>;
  own._readableState = ENDED;
  for (let n = 0; n < LEFT_OVER.length; n++) delete own[LEFT_OVER[n] as string];
  // V8 gives the room of what was deleted back only when nearly all of it is.
  const kept = Reflect.ownKeys(own).filter((key) => PLAIN.has(key) || isPlain(own, key)) as string[];
  const values = kept.map((key) => own[key]);
  for (let n = 0; n < kept.length; n++) delete own[kept[n] as string];
  for (let n = 0; n < kept.length; n++) own[kept[n] as string] = values[n];
}

function isPlain(own: object, key: string | symbol): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(own, key);
  return descriptor?.configurable === true && descriptor.writable === true && descriptor.enumerable === true;
}

/** Whether somebody but Node.js itself waits for something to happen to it. */
function isAwaited(request: IncomingMessage): boolean {
  for (const event of request.eventNames()) {
    for (const listener of request.listeners(event)) if (listener.name !== "clearIncoming") return true;
  }
  return false;
}
