import type { EventEmitter } from "node:events";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { dropResponse, type EngineConnection } from "./internals.ts";
import { SharedTexts } from "./shared-texts.ts";
import { compactConnection } from "./slim-internals.ts";

const KEPT = /^(headers|method|url|httpVersion|socket|Symbol\(kHeaders\))$/;

/** What Node.js keeps on a request that is over, beside what it says: asked of the Node.js that runs. */
const LEFT_OVER = Reflect.ownKeys(new IncomingMessage(new Socket()).on("close", () => {})).filter(
  (key) => !KEPT.test(String(key)),
);

/** One stream, ended, in the place of each request's own. */
const ENDED = (Readable.from([]).destroy() as unknown as { _readableState: unknown })._readableState;

const texts = new SharedTexts();

/** Makes all connections of an Engine.IO server smaller, once they are WebSockets: see `slimRequest`. */
export function slimConnections(engine: EventEmitter): void {
  engine.on("connection", (connection: EngineConnection) => {
    const slim = () => {
      dropResponse(connection);
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
  // First, since to list what an object has takes long while that is much.
  for (const key of LEFT_OVER) delete own[key];
  // V8 gives the room of what was deleted back only when nearly all of it is.
  const kept: [string | symbol, unknown][] = [];
  for (const key of Reflect.ownKeys(own)) {
    if (!isPlain(own, key)) continue;
    kept.push([key, own[key]]);
    delete own[key];
  }
  for (const [key, value] of kept) own[key] = value;
  own._readableState = ENDED;
}

function isPlain(own: object, key: string | symbol): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(own, key);
  return descriptor?.configurable === true && descriptor.writable === true && descriptor.enumerable === true;
}

/** Whether somebody but Node.js itself waits for something to happen to it. */
function isAwaited(request: IncomingMessage): boolean {
  return request
    .eventNames()
    .some((event) => request.listeners(event).some((listener) => listener.name !== "clearIncoming"));
}
