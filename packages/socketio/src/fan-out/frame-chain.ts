/** More than this is not joined: copying it would cost what a second write does. Bytes. */
export const MAX_JOINED = 65_536;

/**
 * The frames that some connections have been given in this turn of the event loop, in order. All who were given the
 * same ones hold the same chain, so that a room's members cost one pointer each, and what they are sent is joined once.
 *
 * For one of them to be given a frame that the others are not, there is another chain with that frame at its end, which
 * everybody who is given it next will find. A frame for all of them goes into the chain that they hold.
 */
export class FrameChain {
  /** Connections that hold it. Kept by them. */
  holders = 0;
  #length: number;
  readonly #before: FrameChain | undefined;
  readonly #frames: Buffer[];
  #after: FrameChain | undefined;
  #bytes: Buffer | undefined;

  private constructor(before: FrameChain | undefined, frame: Buffer) {
    this.#before = before;
    this.#frames = [frame];
    this.#length = (before?.length ?? 0) + frame.length;
  }

  /** Where every chain begins: holds nothing. */
  static empty(): FrameChain {
    return new FrameChain(undefined, Buffer.alloc(0));
  }

  /** Bytes of all frames together. */
  get length(): number {
    return this.#length;
  }

  /** The chain with this frame at its end. A frame is told from another by identity. */
  with(frame: Buffer): FrameChain {
    // Frames are given to one group after the other, so the last one asked for is the only one asked for again.
    const after = this.#after;
    if (after !== undefined && after.#frames[0] === frame) return after;
    this.#after = new FrameChain(this, frame);
    return this.#after;
  }

  /** Gives the frame to all who hold the chain. @returns false when another chain goes on from this one: then not */
  give(frame: Buffer): boolean {
    if (this.#after !== undefined) return false;
    this.#frames.push(frame);
    this.#length += frame.length;
    this.#bytes = undefined;
    return true;
  }

  /** All frames as one piece. */
  bytes(): Buffer {
    this.#bytes ??= this.#join();
    return this.#bytes;
  }

  #join(): Buffer {
    const [only] = this.#frames;
    if (only !== undefined && this.#length === only.length) return only;
    const joined = Buffer.allocUnsafe(this.#length);
    let end = this.#length;
    for (let chain: FrameChain | undefined = this; chain !== undefined; chain = chain.#before) {
      for (const frame of chain.#frames.toReversed()) {
        end -= frame.length;
        joined.set(frame, end);
      }
    }
    return joined;
  }
}
