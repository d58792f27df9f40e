import { FrameChain, MAX_JOINED } from "./frame-chain.ts";
import type { OrderedSender } from "./ordered-sender.ts";

/**
 * What one turn of the event loop has for WebSockets: held back till its end, so that each is written to once.
 * Whoever else writes to one of them meanwhile sends what is held back first: `OrderedSender` sees to that.
 */
export class Turn {
  #empty = FrameChain.empty();
  #waiting: OrderedSender[] = [];
  #end: NodeJS.Immediate | undefined;
  readonly #onEnd: () => void;

  /** @param onEnd told before what is held back is written */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  /** @returns false when the kernel takes no more of this connection: then nothing was added */
  add(sender: OrderedSender, frame: Buffer): boolean {
    let chain = sender.pending;
    if (chain !== undefined && chain.length + frame.length > MAX_JOINED) {
      if (!write(sender)) return false;
      chain = undefined;
    }
    sender.hold((chain ?? this.#empty).with(frame));
    if (!sender.isAwaited) {
      sender.isAwaited = true;
      this.#waiting.push(sender);
      this.#end ??= setImmediate(() => this.flush());
    }
    return true;
  }

  /** Writes what is held back. */
  flush(): void {
    clearImmediate(this.#end);
    this.#end = undefined;
    this.#onEnd();
    this.#empty = FrameChain.empty();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const sender of waiting) {
      sender.isAwaited = false;
      if (sender.pending !== undefined) write(sender);
    }
  }
}

/** @returns whether the kernel took all of it */
function write(sender: OrderedSender): boolean {
  if (sender.writePending()) return true;
  sender.holdUntilWritten();
  return false;
}
