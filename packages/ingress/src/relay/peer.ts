/** What a connection does with what its other side does. */
export interface PeerHandler {
  /**
   * Bytes have come: the first `length` of the buffer. They are only lent: what is needed after the call must be
   * copied, or written to a `Peer`.
   */
  received(buffer: Buffer, length: number): void;
  /** What was held back has gone to the system; called some time after a write that returned false. */
  drained(): void;
  /** The other side sends nothing more, in an orderly way. */
  ended(): void;
  /** The connection is gone, by whichever side and for whatever reason; the last call, made once. */
  closed(): void;
}

/**
 * The other side of one connection: a thin skin over a socket that has one handler for its whole life, so that no
 * listener, callback or object has to be made for a request or a chunk.
 */
export interface Peer {
  /** May be replaced at any time. */
  handler: PeerHandler;
  /**
   * @returns false when the system doesn't take all of it at once. The rest is not lost; but its source should be
   *   paused until `drained`, which bounds what is held
   */
  write(bytes: Buffer): boolean;
  /** Each character is one byte (latin1). @returns as `write` does */
  writeText(text: string): boolean;
  /** Something is held back. */
  readonly clogged: boolean;
  /** Bytes that are held back. */
  readonly queued: number;
  /** Reads no more. */
  pause(): void;
  resume(): void;
  /** Sends nothing more than what is written; the other half stays open. */
  end(): void;
  /** Drops what is held back, and closes. */
  destroy(): void;
  /** The same, in a way that the other side can tell from an orderly end. */
  reset(): void;
}

/**
 * How often a peer has kept a buffer that was lent to its writer, all peers together. A reader that sees the count
 * move while it lends its buffer has to read into another one.
 */
export const lent = { kept: 0 };
