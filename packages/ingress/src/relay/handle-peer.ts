import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { lent, type Peer, type PeerHandler } from "./peer.ts";
import { StreamPeer } from "./stream-peer.ts";

/**
 * What this file knows of the inside of Node (lib/net.js, lib/internal/stream_base_commons.js): a socket's handle
 * reads into a buffer of ours and tells of it by `onread`, and writes at once what the system takes. Going through
 * `Socket`'s streams instead costs twice the time of a read and a write. What isn't as expected is noticed when a
 * connection is opened, which then goes through the streams.
 */
interface Handle {
  onread: (this: Handle, chunk: unknown) => unknown;
  reading: boolean;
  readonly writeQueueSize: number;
  useUserBuffer(buffer: Buffer): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  writeLatin1String(request: WriteRequest, text: string): number;
}

interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the bytes in memory while the system has them. */
  bytes?: Buffer;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

const METHODS = [
  "onread",
  "useUserBuffer",
  "readStart",
  "readStop",
  "writeBuffer",
  "writeLatin1String",
] as const;

const wrap = streamWrap();

/** Most messages are small, and there are many connections; a busy one gets a larger buffer. */
const SMALL_BYTES = 4 * 1024;
const LARGE_BYTES = 64 * 1024;
/** Reads in a row that would have fitted into the small one, after which it is taken again. */
const SHORT_READS = 16;

/**
 * The quickest peer that there is for a stream; begins to read.
 *
 * @param stream made with `allowHalfOpen`, and connected
 * @param socket the TCP connection that it stands on, where that is another
 */
export function openPeer(stream: Duplex, handler: PeerHandler, socket?: Socket): Peer {
  // Not a TLS socket, which is a `Socket` too: what its handle reads is encrypted.
  if (wrap && Object.getPrototypeOf(stream) === Socket.prototype && stream instanceof Socket) {
    const handle = (stream as unknown as { _handle?: Handle | null })._handle;
    if (handle && METHODS.every((name) => typeof handle[name] === "function")) {
      return new HandlePeer(stream, handle, wrap, handler);
    }
  }
  return new StreamPeer(stream, handler, socket);
}

class HandlePeer implements Peer {
  handler: PeerHandler;
  readonly #socket: Socket;
  readonly #handle: Handle;
  readonly #wrap: StreamWrap;
  #buffer = Buffer.allocUnsafeSlow(SMALL_BYTES);
  /** Serves for every write that the system takes at once. */
  #request: WriteRequest | undefined;
  /** Writes that the system has not taken yet. */
  #waiting = 0;
  #short = 0;
  #paused = false;
  #open = true;

  constructor(socket: Socket, handle: Handle, wrap: StreamWrap, handler: PeerHandler) {
    this.#socket = socket;
    this.#handle = handle;
    this.#wrap = wrap;
    this.handler = handler;
    // What was read before, such as what follows a PROXY header. The handler isn't ready for it now.
    const early: Buffer | null = socket.readableLength > 0 ? socket.read() : null;
    if (early) process.nextTick(() => this.#open && this.handler.received(early, early.length));
    const ended = handle.onread;
    handle.useUserBuffer(this.#buffer);
    handle.onread = (chunk) => {
      const length = wrap.streamBaseState[wrap.kReadBytesOrError] ?? 0;
      // The end and errors are the socket's to deal with.
      return length > 0 ? this.#received(length) : ended.call(handle, chunk);
    };
    socket.on("end", () => this.handler.ended());
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#open = false;
      this.handler.closed();
    });
    // The socket's own `resume` reads only later, whatever is wanted then.
    this.resume();
  }

  write(bytes: Buffer): boolean {
    if (!this.#writable()) return true;
    this.#request ??= this.#newRequest();
    const failed = this.#handle.writeBuffer(this.#request, bytes);
    if (failed === 0 && this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 0) return true;
    if (failed === 0) {
      this.#request.bytes = bytes;
      lent.kept++;
    }
    return this.#notAtOnce(failed);
  }

  writeText(text: string): boolean {
    if (!this.#writable()) return true;
    this.#request ??= this.#newRequest();
    const failed = this.#handle.writeLatin1String(this.#request, text);
    if (failed === 0 && this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 0) return true;
    return this.#notAtOnce(failed);
  }

  get clogged(): boolean {
    return this.#waiting > 0;
  }

  get queued(): number {
    return this.#open ? this.#handle.writeQueueSize : 0;
  }

  pause(): void {
    if (!this.#writable()) return;
    this.#paused = true;
    this.#handle.reading = false;
    this.#handle.readStop();
  }

  resume(): void {
    if (!this.#writable() || this.#socket.readableEnded) return;
    this.#paused = false;
    this.#handle.reading = true;
    this.#handle.readStart();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#open = false;
    this.#socket.destroy();
  }

  reset(): void {
    this.#open = false;
    this.#socket.resetAndDestroy();
  }

  /** A socket that was destroyed has let go of its handle, which must then not be touched. */
  #writable(): boolean {
    return this.#open && (this.#socket as unknown as { _handle: unknown })._handle === this.#handle;
  }

  /** @returns the buffer to read into next, where that is another one */
  #received(length: number): Buffer | undefined {
    const buffer = this.#buffer;
    const { kept } = lent;
    this.handler.received(buffer, length);
    let wanted = buffer.length;
    if (length >= SMALL_BYTES) {
      wanted = LARGE_BYTES;
      this.#short = 0;
    } else if (++this.#short === SHORT_READS) {
      wanted = SMALL_BYTES;
      this.#short = 0;
    }
    if (wanted === buffer.length && lent.kept === kept) return undefined;
    this.#buffer = Buffer.allocUnsafeSlow(wanted);
    return this.#buffer;
  }

  #notAtOnce(failed: number): boolean {
    if (failed !== 0) {
      this.#broken();
      return true;
    }
    this.#request = undefined;
    this.#waiting++;
    return false;
  }

  /** Such as EPIPE. What the other side has sent before it left may still be there to be read, up to its end. */
  #broken(): void {
    if (this.#paused) setImmediate(() => this.destroy());
  }

  #newRequest(): WriteRequest {
    const request = new this.#wrap.WriteWrap();
    request.oncomplete = (status) => {
      this.#waiting--;
      if (status < 0) this.#broken();
      else if (this.#waiting === 0 && this.#open) this.handler.drained();
    };
    return request;
  }
}

function streamWrap(): StreamWrap | undefined {
  try {
    const { binding } = process as unknown as { binding(name: string): StreamWrap };
    const found = binding("stream_wrap");
    const known =
      typeof found.WriteWrap === "function" &&
      found.streamBaseState instanceof Int32Array &&
      Number.isInteger(found.kReadBytesOrError) &&
      Number.isInteger(found.kLastWriteWasAsync);
    return known ? found : undefined;
  } catch {
    return undefined;
  }
}
