import type { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import type { Namespace, Socket } from "socket.io";
import * as ws from "ws";
import { type Handle, handleOf, isTaken, writeDirectly } from "./direct-write.ts";
import { type FrameChain, MAX_JOINED } from "./frame-chain.ts";

// Everything that Holdfast uses of Socket.IO 4, Engine.IO 6 and ws 8 beyond their documentation, and nothing else, is
// in this file, and what makes idle connections smaller in `slim-internals.ts`. `webSocketMisfit` and `connectionMisfit`
// tell whether what is installed is like that.

/** A packet in Engine.IO's queue. */
interface EnginePacket {
  readonly data?: string | Uint8Array;
}

export interface EngineTransport extends EventEmitter {
  readonly name: string;
  /** Everything given to it has gone to the kernel. */
  writable: boolean;
  readonly supportsBinary: boolean;
  readonly socket?: OrderedWebSocket;
}

/** An Engine.IO connection: `socket.conn`. */
export interface EngineConnection extends EventEmitter {
  readonly readyState: string;
  readonly upgrading: boolean;
  readonly protocol: number;
  readonly writeBuffer: readonly EnginePacket[];
  readonly transport: EngineTransport;
  readonly server: EventEmitter;
  readonly request: IncomingMessage | null;
  close(discard?: boolean): void;
}

/** How Engine.IO is to write a packet. */
export interface EngineWriteOptions {
  readonly volatile?: boolean | undefined;
  readonly compress?: boolean | undefined;
  /** As Socket.IO's own adapter passes them on: what was encoded already, and its frame for `ws`. */
  readonly preEncoded: true;
  wsPreEncodedFrame?: readonly Buffer[];
}

export function connectionOf(socket: Socket): EngineConnection {
  return socket.client.conn as unknown as EngineConnection;
}

/** The ordinary path of an encoded packet, as Socket.IO's in-memory adapter takes it. */
export function writeToEngine(
  socket: Socket,
  encoded: readonly unknown[],
  options: EngineWriteOptions,
): void {
  const client = socket.client as unknown as {
    writeToEngine(encoded: readonly unknown[], options: EngineWriteOptions): void;
  };
  client.writeToEngine(encoded, options);
}

/** A packet as Socket.IO's parser knows it. */
export interface Packet {
  readonly type: number;
  readonly data: readonly unknown[];
  readonly nsp: string;
  readonly id?: number | undefined;
}

/** The parser's type of a packet that carries an event. */
export const EVENT = 2;

/** With the server's own parser. @throws what the parser throws at data that it can't encode */
export function encodePacket(namespace: Namespace, packet: Packet): readonly unknown[] {
  const { encoder } = namespace.server as unknown as { encoder: { encode(packet: Packet): unknown[] } };
  return encoder.encode(packet);
}

/** Tells `socket.onAnyOutgoing` listeners, as an adapter has to. */
export function notifyOutgoing(socket: Socket, packet: Packet): void {
  (socket as unknown as { notifyOutgoingListeners(packet: Packet): void }).notifyOutgoingListeners(packet);
}

/** Its head, and what it carries. */
type WsFrame = readonly (Uint8Array | string)[];

/** The half of `ws` that writes. All that ever leaves a WebSocket is given to `sendFrame`. */
declare class WsSender {
  readonly _socket: Duplex;
  readonly _bufferedBytes: number;
  readonly _state: number;
  sendFrame(list: WsFrame, callback?: (error?: Error) => void): void;
}

/** Nothing is being compressed, and no Blob being read. */
const IDLE = 0;
const NOTHING = Buffer.alloc(0);
/** Characters of a frame that are copied behind its head. */
const MAX_COPIED = 1024;
const NO_EXTENSIONS = Object.freeze({});
/** What Engine.IO tells about packets. */
const WATCHED: readonly string[] = ["packetCreate", "flush", "drain"];

const { Sender } = ws as unknown as { Sender: typeof WsSender | undefined };

/** Nobody has looked. */
const NEVER = -1;

/** A sender that holds back frames till the end of the turn, and lets nothing else overtake them. */
export class OrderedSender extends (Sender ?? (Object as unknown as typeof WsSender)) {
  declare pending: FrameChain | undefined;
  /** It is looked at when the turn ends. */
  declare isAwaited: boolean;
  /** No extension, so that frames are the same for everybody. */
  declare isPlain: boolean;
  /** Engine.IO's end of this WebSocket, once something was held back for it. */
  declare transport: EngineTransport | undefined;
  /** The look (see `SlowReaders`) at which it was found open, if nothing has happened to it since. */
  declare openAt: number;
  /** Where to write past the stream, while nothing but this sender has. */
  declare handle: Handle | undefined;
  /** Bytes written past the stream that the kernel has not taken yet. */
  declare underWay: number;

  /** Bytes of the last frame, or of the last ones together. */
  declare lastWrite: number;

  override sendFrame(list: WsFrame, callback?: (error?: Error) => void): void {
    if (this.pending !== undefined) this.writePending();
    this.disturbed();
    this.lastWrite = (list[0]?.length ?? 0) + (list[1]?.length ?? 0);
    super.sendFrame(joined(list) ?? list, callback);
  }

  /** Somebody else writes to it, or wants to be told: it has to be looked at before it is written to again. */
  disturbed(): void {
    this.openAt = NEVER;
    this.handle = undefined;
  }

  /** From now on it holds this chain. */
  hold(chain: FrameChain): void {
    if (this.pending !== undefined) this.pending.holders--;
    chain.holders++;
    this.pending = chain;
  }

  /** @returns whether the kernel took all of it */
  writePending(): boolean {
    const { pending } = this;
    if (pending === undefined) return this.underWay === 0 && this._socket.writableLength === 0;
    pending.holders--;
    this.pending = undefined;
    this.lastWrite = pending.length;
    const bytes = pending.bytes();
    const outcome = this.handle && writeDirectly(this.handle, bytes, this);
    if (outcome === "taken") return true;
    const stream = this._socket;
    if (outcome === "under way") {
      this.underWay += bytes.length;
      return false;
    }
    const isOne = stream.writableLength === 0 && bytes.length <= MAX_JOINED;
    if (stream.writable) stream.write(bytes);
    return this.underWay === 0 && isTaken(stream, isOne);
  }

  written(bytes: number, error: Error | undefined): void {
    this.underWay -= bytes;
    if (error && !this._socket.destroyed) this._socket.destroy(error);
  }
}

/** A short text's frame in one piece, which costs a stream less than two. */
function joined(list: WsFrame): WsFrame | undefined {
  const head = list[0];
  const text = list[1];
  const isShort =
    list.length === 2 && typeof head === "object" && typeof text === "string" && text.length <= MAX_COPIED;
  if (!isShort) return undefined;
  const frame = Buffer.allocUnsafe(head.length + Buffer.byteLength(text));
  frame.set(head);
  frame.write(text, head.length);
  return [frame];
}

class OrderedWebSocket extends ws.WebSocket {
  declare readonly _sender: OrderedSender;
  declare readonly _socket: Duplex;
  declare _extensions: Readonly<Record<string, unknown>>;

  // Not in the types: `ws` calls it when the handshake is done.
  setSocket(...args: readonly unknown[]): void {
    // Its halves take it from here; each new WebSocket comes with an object of its own.
    if (this.extensions === "") this._extensions = NO_EXTENSIONS;
    const base = ws.WebSocket.prototype as unknown as { setSocket(...args: readonly unknown[]): void };
    base.setSocket.apply(this, args as unknown[]);
    const sender = this._sender;
    Object.setPrototypeOf(sender, OrderedSender.prototype);
    sender.pending = undefined;
    sender.isAwaited = false;
    sender.lastWrite = 0;
    sender.transport = undefined;
    sender.openAt = NEVER;
    sender.handle = undefined;
    sender.underWay = 0;
    sender.isPlain = this.extensions === "";
  }

  override send(...args: readonly unknown[]): void {
    // A Blob is read first, and only then given to the sender.
    this._sender?.disturbed();
    const base = ws.WebSocket.prototype as unknown as { send(...args: readonly unknown[]): void };
    base.send.apply(this, args as unknown[]);
  }
}

// The types have it as a field, which can't be overridden by an accessor.
Object.defineProperty(OrderedWebSocket.prototype, "bufferedAmount", {
  configurable: true,
  get(this: OrderedWebSocket): number {
    const own: number = Reflect.get(ws.WebSocket.prototype, "bufferedAmount", this);
    const { _sender: sender } = this;
    return sender ? own + sender.underWay + (sender.pending?.length ?? 0) : own;
  },
});

/** For Socket.IO's option `wsEngine`: `ws` itself, with WebSockets that can be written to in common. */
export class OrderedWebSocketServer extends ws.WebSocketServer {
  constructor(options?: ws.ServerOptions) {
    super({ ...options, WebSocket: OrderedWebSocket as unknown as typeof ws.WebSocket });
  }

  /** The answer, and what Engine.IO says at once on the new WebSocket, leave in one write. */
  override handleUpgrade(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    done: (client: ws.WebSocket, request: IncomingMessage) => void,
  ): void {
    stream.cork();
    super.handleUpgrade(request, stream, head, done);
    // Engine.IO waits a few microtasks for the session's id; the next tick comes after all of them.
    queueMicrotask(() => process.nextTick(() => stream.uncork()));
  }
}

/** How Engine.IO tells a response, that it makes for middlewares only, of its connection's end. */
const TELLS_RESPONSE = '() => this.emit("close")';

/**
 * Lets go of the response that Engine.IO makes for middlewares of a connection that began as a WebSocket, and which
 * keeps the request as it came for as long as the connection lives. Where there are middlewares they may wait for it.
 */
export function dropResponse(connection: EngineConnection): void {
  const { middlewares } = connection.server as unknown as { middlewares?: readonly unknown[] };
  const stream = connection.transport.socket?._socket;
  if (middlewares?.length !== 0 || !stream) return;
  const listener = stream
    .listeners("close")
    .find((one) => one.name === "" && one.toString() === TELLS_RESPONSE);
  if (listener) stream.off("close", listener as () => void);
}

/**
 * Where to write when it is as good as writing through Engine.IO: an open WebSocket without compression, with nothing
 * on its way anywhere, and nobody who listens to what Engine.IO tells about packets.
 */
export function openSender(connection: EngineConnection): OrderedSender | undefined {
  const transport = connection.transport;
  if (!transport.writable || connection.writeBuffer.length > 0 || connection.upgrading) return undefined;
  const webSocket = transport.socket;
  if (!(webSocket instanceof OrderedWebSocket)) return undefined;
  const sender = webSocket._sender;
  // It was looked at in this turn, and whatever was written to it since would have sent what it holds.
  if (sender.pending !== undefined) return sender;
  if (!isPlainAndOpen(connection, webSocket)) return undefined;
  sender.handle = sender.underWay === 0 ? handleOf(sender._socket) : undefined;
  return sender;
}

/** What is written to a WebSocket until this is called goes in one write, whoever writes it; unless something waits already. */
export function gatherWrites(connection: EngineConnection): () => void {
  const stream = connection.transport.socket?._socket;
  if (!stream || stream.writableLength > 0 || stream.writableCorked > 0) return () => {};
  stream.cork();
  return () => stream.uncork();
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
  const { _sender: sender, _socket: stream } = webSocket;
  const isCorked = stream.writableCorked > 0;
  if (sender.pending !== undefined || sender.underWay > 0 || (stream.writableLength > 0 && !isCorked))
    return false;
  if (!isPlainAndOpen(connection, webSocket)) return false;
  const bytes = Buffer.concat(frames);
  sender.disturbed();
  sender.lastWrite = bytes.length;
  stream.write(bytes);
  return true;
}

function isPlainAndOpen(connection: EngineConnection, webSocket: OrderedWebSocket): boolean {
  const { _sender: sender } = webSocket;
  return (
    connection.readyState === "open" &&
    webSocket.readyState === ws.WebSocket.OPEN &&
    connection.protocol === 4 &&
    connection.transport.supportsBinary &&
    sender.isPlain &&
    sender._bufferedBytes === 0 &&
    sender._state === IDLE &&
    sender._socket.writable &&
    !isWatched(connection)
  );
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
  if (WATCHED.includes(event) && socket instanceof OrderedWebSocket) socket._sender.disturbed();
}

/** Whether somebody counts packets: they are told of each only on the ordinary path. */
function isWatched(connection: EngineConnection): boolean {
  return WATCHED.some((event) => connection.listenerCount(event) > 0);
}

export function isServerWatched(connection: EngineConnection): boolean {
  const { server } = connection;
  return server.listenerCount("flush") > 0 || server.listenerCount("drain") > 0;
}

/** Bytes of a WebSocket's last write; without a bound where they are not known. */
export function lastWriteOf({ socket }: EngineTransport): number {
  return socket instanceof OrderedWebSocket ? socket._sender.lastWrite : Number.POSITIVE_INFINITY;
}

/** Makes Engine.IO queue what follows until the kernel has taken what the stream holds, as after a write of its own. */
export function holdUntilWritten(sender: OrderedSender): void {
  const { transport } = sender;
  sender.disturbed();
  if (!transport?.writable) return;
  transport.writable = false;
  sender._socket.write(NOTHING, (error) => {
    // The stream's end is told by its own events.
    if (error) return;
    transport.emit("drain");
    transport.writable = true;
    transport.emit("ready");
  });
}

/** Why the installed `ws` can't be used so; undefined: it can. Sends over a WebSocket that leads nowhere. */
export function webSocketMisfit(
  chainOf: (text: string) => FrameChain,
  WebSocketClass: new (...args: never[]) => ws.WebSocket = OrderedWebSocket,
): string | undefined {
  const sent: Buffer[] = [];
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      sent.push(chunk);
      done();
    },
  });
  const taken = () => Buffer.concat(sent.splice(0)).toString("latin1");
  try {
    const options = { autoPong: true, closeTimeout: 1, maxPayload: 1 };
    const webSocket = new WebSocketClass(...([null, undefined, options] as never[])) as OrderedWebSocket;
    webSocket.on("error", () => {});
    webSocket.setSocket(stream, NOTHING, options);
    const sender = webSocket._sender;
    if (!(sender instanceof OrderedSender)) return "a WebSocket has no sender of its own";
    if (sender._state !== IDLE || sender._bufferedBytes !== 0) return "a new sender is not idle";

    const alone = chainOf("é").bytes().toString("latin1");
    webSocket.send("4é");
    if (taken() !== alone) return "a text makes another frame";
    const writes: readonly (readonly [string, string, () => void])[] = [
      ["send", "\x81\x01x", () => webSocket.send("x")],
      ["sendFrame", "y", () => sender.sendFrame([Buffer.from("y")])],
      ["ping", "\x89\x00", () => webSocket.ping()],
      ["pong", "\x8a\x00", () => webSocket.pong()],
      ["close", "\x88\x00", () => webSocket.close()],
    ];
    for (const [name, bytes, write] of writes) {
      sender.hold(chainOf("é"));
      if (webSocket.bufferedAmount !== alone.length) return "bufferedAmount doesn't count what is held back";
      write();
      if (taken() !== alone + bytes) return `${name} does not pass the sender's sendFrame`;
    }
    return undefined;
  } catch (error) {
    return `the sender fails: ${error instanceof Error ? error.message : error}`;
  } finally {
    stream.destroy();
  }
}

/** Why the installed Engine.IO can't be written past; undefined: it can. */
export function connectionMisfit(connection: EngineConnection): string | undefined {
  const { transport, server, writeBuffer } = connection;
  const shape: Record<string, boolean> = {
    readyState: typeof connection.readyState === "string",
    upgrading: typeof connection.upgrading === "boolean",
    protocol: typeof connection.protocol === "number",
    writeBuffer: Array.isArray(writeBuffer),
    transport: typeof transport?.emit === "function",
    "transport.writable": typeof transport?.writable === "boolean",
    "transport.supportsBinary": typeof transport?.supportsBinary === "boolean",
    "transport's ready":
      typeof transport?.listenerCount === "function" && transport.listenerCount("ready") > 0,
    server: typeof server?.listenerCount === "function",
  };
  const missing = Object.keys(shape).filter((key) => !shape[key]);
  return missing.length === 0 ? undefined : `an Engine.IO connection is without ${missing.join(", ")}`;
}
