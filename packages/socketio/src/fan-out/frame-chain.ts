/**
 * The frames that some connections have been given in this turn of the event loop, in order. All who were given the
 * same ones hold the same chain, so that a room's members cost one pointer each, and what they are sent is joined once.
 *
 * A chain never changes: one frame more is another chain, which everybody who is given that frame next will find.
 */
export class FrameChain {
  /** Bytes of all frames together. */
  readonly length: number;
  readonly #before: FrameChain | undefined;
  readonly #frame: Buffer;
  #after: FrameChain | undefined;
  #bytes: Buffer | undefined;

  private constructor(before: FrameChain | undefined, frame: Buffer) {
    this.#before = before;
    this.#frame = frame;
    this.length = (before?.length ?? 0) + frame.length;
  }

  /** Where every chain begins: holds nothing. */
  static empty(): FrameChain {
    return new FrameChain(undefined, Buffer.alloc(0));
  }

  /** The chain with this frame at its end. A frame is told from another by identity. */
  with(frame: Buffer): FrameChain {
    // Frames are given to one group after the other, so the last one asked for is the only one asked for again.
    const after = this.#after;
    if (after !== undefined && after.#frame === frame) return after;
    this.#after = new FrameChain(this, frame);
    return this.#after;
  }

  /** All frames as one piece. */
  bytes(): Buffer {
    this.#bytes ??= this.#before?.length === 0 ? this.#frame : this.#join();
    return this.#bytes;
  }

  #join(): Buffer {
    const joined = Buffer.allocUnsafe(this.length);
    let end = this.length;
    for (let chain: FrameChain | undefined = this; chain !== undefined; chain = chain.#before) {
      end -= chain.#frame.length;
      joined.set(chain.#frame, end);
    }
    return joined;
  }
}
