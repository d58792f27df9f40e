import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import type { Namespace, Server, Socket } from "socket.io";
import * as ws from "ws";
import { HoldfastError } from "./errors.ts";
import type { Slimming } from "./fan-out/idle-connection.ts";
import type { EngineServer } from "./forwarding/engine.ts";

// All that Holdfast uses of Socket.IO 4, Engine.IO 6 and ws 8 beyond their documentation is in this file. A server
// without what `requireServer` and `requireSocket` look for is refused. Where the rest is not as it is here, packets take
// Socket.IO's ordinary path (`connectionMisfit`, `webSocketMisfit`), and idle connections stay as large as they are.

export interface EngineTransport extends EventEmitter {
  readonly name: string;
  /** Everything given to it has gone to the kernel. */
  writable: boolean;
  readonly supportsBinary: boolean;
  readonly socket?: ws.WebSocket;
}

/** An Engine.IO connection: `socket.conn`. */
export interface EngineConnection extends EventEmitter {
  readonly readyState: string;
  readonly upgrading: boolean;
  readonly protocol: number;
  /** Packets that wait for the transport. */
  readonly writeBuffer: readonly { readonly data?: string | Uint8Array }[];
  readonly transport: EngineTransport;
  readonly server: EventEmitter & { readonly middlewares?: readonly unknown[] };
  readonly request: IncomingMessage | null;
  close(discard?: boolean): void;
}

/** How Engine.IO is to write a packet, as Socket.IO's own adapter tells it: it is encoded, and that is its frame for `ws`. */
export interface EngineWriteOptions {
  readonly volatile?: boolean | undefined;
  readonly compress?: boolean | undefined;
  readonly preEncoded: true;
  wsPreEncodedFrame?: readonly Buffer[];
}

/** Writes a packet to a socket's client, past its namespace's adapter. */
export type WritePacket = (
  this: Socket,
  packet: { readonly type: number; readonly data?: unknown; readonly id?: number },
  options?: { volatile?: boolean; compress?: boolean },
) => void;

type StockEngine = { readonly opts?: { readonly maxHttpBufferSize?: number; readonly path?: string } };
interface StockServer {
  readonly encoder: { encode(packet: object): (string | Uint8Array)[] };
  readonly opts: {
    readonly connectionStateRecovery?: { readonly maxDisconnectionDuration: number };
    readonly pingInterval?: number;
    readonly pingTimeout?: number;
  };
}

interface StockSocket {
  readonly client: {
    readonly conn: EngineConnection;
    readonly decoder?: { readonly _callbacks?: object };
    writeToEngine(encoded: readonly unknown[], options: EngineWriteOptions): void;
  };
  readonly pid?: unknown;
  readonly acks: Map<number, (response: unknown) => void>;
  packet: WritePacket;
  notifyOutgoingListeners(packet: { readonly data: readonly unknown[] }): void;
}

const stockSocket = (socket: Socket) => socket as unknown as StockSocket;
const stockServer = (server: Server) => server as unknown as StockServer;

export const connectionOf = (socket: Socket) => stockSocket(socket).client.conn;
/** Who waits for the client's acknowledgements, by their ids. */
export const acksOf = (socket: Socket) => stockSocket(socket).acks;
/** Of a session that can be recovered. */
export const pidOf = (socket: Socket) => stockSocket(socket).pid;
export const encoderOf = (server: Server) => stockServer(server).encoder;
/** With Socket.IO's own defaults of `connectionStateRecovery`. */
export const optionsOf = (server: Server) => stockServer(server).opts;
/** With the path that it is attached to. */
export const engineOptionsOf = (engine: EngineServer & StockEngine) => engine.opts;
/** For the next acknowledgement of an emit to several sockets. */
export const nextAckId = (namespace: Namespace) => namespace._ids++;

/** An event of another server's `serverSideEmit`, which may end with the function that answers. */
export const hearServer = (namespace: Namespace, event: readonly unknown[]) =>
  namespace._onServerSideEmit(event as [string, ...unknown[]]);
/** The ordinary path of an encoded packet, as Socket.IO's in-memory adapter takes it. */
export const writeToEngine = (socket: Socket, encoded: readonly unknown[], options: EngineWriteOptions) =>
  stockSocket(socket).client.writeToEngine(encoded, options);
/** Tells `socket.onAnyOutgoing` listeners, as an adapter has to. */
export const notifyOutgoing = (socket: Socket, packet: { readonly data: readonly unknown[] }) =>
  stockSocket(socket).notifyOutgoingListeners(packet);

/** What this socket writes past its adapter goes to `write`, which may hand it back to `writePacket`. */
export function takePackets(socket: Socket, write: WritePacket): void {
  stockSocket(socket).packet = write;
}

export const writePacket: WritePacket = function (packet, options) {
  Object.getPrototypeOf(this).packet.call(this, packet, options);
};

/** Makes Engine.IO queue what follows, as after a write of its own. @returns ends that; undefined where it does so already */
export function holdTransport(transport: EngineTransport): (() => void) | undefined {
  if (!transport.writable) return undefined;
  transport.writable = false;
  return () => {
    transport.emit("drain");
    transport.writable = true;
    transport.emit("ready");
  };
}

export function streamOf({ transport }: EngineConnection): Duplex | undefined {
  const { _socket } = (transport.socket ?? {}) as { readonly _socket?: unknown };
  return _socket instanceof Duplex ? _socket : undefined;
}

/** Paths from an object, by the type of what is there. */
type Shape = Readonly<Partial<Record<"boolean" | "function" | "number" | "object" | "string", string>>>;

/** What an adapter needs of a namespace, and of a socket. */
const NAMESPACE: Shape = {
  function: "server.encoder.encode _onServerSideEmit",
  object: "server.opts",
  number: "_ids",
};
const SOCKET: Shape = {
  function:
    "packet acks.set acks.delete notifyOutgoingListeners client.writeToEngine client.conn.writeBuffer.push",
  object: "client.conn.transport",
};
/** What is needed of an Engine.IO connection to write past it. */
const CONNECTION: Shape = {
  function: "server.listenerCount transport.emit transport.listenerCount writeBuffer.push",
  string: "readyState",
  boolean: "upgrading transport.writable transport.supportsBinary",
  number: "protocol",
};

function missingOf(holder: object, shape: Shape): string {
  const at = (path: string) =>
    path.split(".").reduce((value: unknown, name) => Object(value)[name], holder) ?? undefined;
  const missingOfType = ([type, paths]: readonly [string, string]) =>
    paths.split(" ").filter((path) => typeof at(path) !== type);
  return Object.entries(shape).flatMap(missingOfType).join(", ");
}

function refuseWithout(what: string, holder: object, shape: Shape): void {
  const missing = missingOf(holder, shape);
  if (missing) throw new HoldfastError("SOCKET_IO_UNKNOWN", `a ${what} is without ${missing}`);
}

const known = new WeakSet<Server>();

/** @throws HoldfastError `SOCKET_IO_UNKNOWN` */
export const requireServer = (namespace: Namespace) => refuseWithout("namespace", namespace, NAMESPACE);
/** Looks at the first socket of each server. @throws HoldfastError `SOCKET_IO_UNKNOWN` */
export function requireSocket(socket: Socket): void {
  const { server } = socket.nsp;
  if (known.has(server)) return;
  refuseWithout("socket", socket, SOCKET);
  if (optionsOf(server).connectionStateRecovery) refuseWithout("socket", socket, { string: "pid" });
  known.add(server);
}

/** Why the installed Engine.IO can't be written past; undefined: it can. */
export function connectionMisfit(connection: EngineConnection): string | undefined {
  const missing = missingOf(connection, CONNECTION);
  if (missing) return `an Engine.IO connection is without ${missing}`;
  if (connection.transport.listenerCount("ready") === 0) return "Engine.IO does not wait for a transport";
  return undefined;
}

/** A WebSocket frame: its head, and what it carries. */
export type WsFrame = readonly (Uint8Array | string)[];

/** The half of `ws` that writes. All that ever leaves a WebSocket is given to `sendFrame`. */
declare class WsSender {
  readonly _socket: Duplex;
  readonly _bufferedBytes: number;
  readonly _state: number;
  sendFrame(frame: WsFrame, callback?: (error?: Error) => void): void;
}

const { Sender } = ws as unknown as { Sender: typeof WsSender | undefined };

/** A sender of `ws` that sees each frame before it is sent. */
export abstract class FrameSender extends (Sender ?? (Object as unknown as typeof WsSender)) {
  /** @returns the same bytes, which are sent */
  protected abstract sending(frame: WsFrame): WsFrame;

  override sendFrame(frame: WsFrame, callback?: (error?: Error) => void): void {
    super.sendFrame(this.sending(frame), callback);
  }

  get stream(): Duplex {
    return this._socket;
  }

  /** Nothing is being compressed, no Blob is being read, and nothing waits for that. */
  get isIdle(): boolean {
    return this._bufferedBytes === 0 && this._state === 0;
  }
}

const NO_EXTENSIONS = Object.freeze({});

/** A WebSocket of `ws` whose sender becomes another. */
export abstract class SenderWebSocket<S extends FrameSender> extends ws.WebSocket {
  declare private readonly _sender: S | undefined;
  declare private _extensions: object;

  /** Makes a sender of `ws`, which has its stream and has sent nothing, one of these. */
  protected abstract adopt(sender: object): void;

  get sender(): S | undefined {
    return this._sender;
  }

  // `ws` calls it when the handshake is done.
  setSocket(...args: readonly unknown[]): void {
    // Its halves take it from here; each new WebSocket comes with an object of its own.
    if (this.extensions === "") this._extensions = NO_EXTENSIONS;
    Reflect.get(ws.WebSocket.prototype, "setSocket").apply(this, args);
    if (this._sender) this.adopt(this._sender);
  }
}

/** On a request. */
export const REQUEST_FIELDS: readonly string[] = ["_query", "websocket"];

/** Once Socket.IO has its listeners on an Engine.IO connection over a WebSocket. */
export function slimConnection(connection: EngineConnection, slim: Slimming): void {
  const { transport, server } = connection;
  const webSocket = transport.socket as (ws.WebSocket & { readonly _receiver?: EventEmitter }) | undefined;
  // Engine.IO makes a response for middlewares, which keeps the request. Where there are any, they may wait for its end.
  const tellsResponse = (one: () => void) => one.name === "" && `${one}` === '() => this.emit("close")';
  if (server.middlewares?.length === 0) slim.listener(streamOf(connection), "close", tellsResponse);
  // Engine.IO takes its own away, before the transport's, only where it upgrades.
  if (webSocket && webSocket.listenerCount("error") > 1)
    slim.listener(webSocket, "error", ({ name }) => name === "onUpgradeError");
  // Told of polling transports alone.
  transport.removeAllListeners("headers");
  for (const emitter of [connection, transport, webSocket, webSocket?._receiver]) slim.listeners(emitter);
  slim.text(connection, "remoteAddress");
  slim.array(connection, "cleanupFn");
}

/** A socket, and the client that it is of, before the program knows it. */
export function slimSocket(socket: Socket, slim: Slimming): void {
  const { client } = stockSocket(socket);
  slim.map(socket, "acks");
  for (const field of ["sockets", "nsps"]) slim.map(client, field);
  slim.array(client.decoder?._callbacks, "$decoded");
}
