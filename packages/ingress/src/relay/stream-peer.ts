import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { lent, type Peer, type PeerHandler } from "./peer.ts";

/** A peer over any stream, such as a TLS connection. */
export class StreamPeer implements Peer {
  handler: PeerHandler;
  readonly #stream: Duplex;
  readonly #socket: Socket | undefined;

  /**
   * Begins to read. The stream must have been made with `allowHalfOpen`.
   *
   * @param socket the TCP connection that it stands on
   */
  constructor(stream: Duplex, handler: PeerHandler, socket: Socket | undefined = plain(stream)) {
    this.#socket = socket;
    this.handler = handler;
    this.#stream = stream;
    stream.on("data", (bytes: Buffer) => this.handler.received(bytes, bytes.length));
    stream.on("drain", () => this.handler.drained());
    stream.on("end", () => this.handler.ended());
    stream.on("error", () => {});
    stream.once("close", () => this.handler.closed());
  }

  write(bytes: Buffer): boolean {
    if (!this.#stream.writable) return true;
    const taken = this.#stream.write(bytes);
    if (this.#stream.writableLength > 0) lent.kept++;
    return taken;
  }

  writeText(text: string): boolean {
    return this.#stream.writable ? this.#stream.write(text, "latin1") : true;
  }

  get clogged(): boolean {
    return this.#stream.writableNeedDrain;
  }

  get queued(): number {
    return this.#stream.writableLength;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  reset(): void {
    // A TLS socket can't, and its own end would look as if nothing were missing.
    if (this.#socket) this.#socket.resetAndDestroy();
    else this.#stream.destroy();
  }
}

/** A TLS socket is a `Socket` too, but not one that can be reset. */
function plain(stream: Duplex): Socket | undefined {
  return Object.getPrototypeOf(stream) === Socket.prototype ? (stream as Socket) : undefined;
}
