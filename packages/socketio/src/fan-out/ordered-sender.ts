import { type EngineTransport, FrameSender, holdTransport, type WsFrame } from "../stock.ts";
import { type Handle, isTaken, writeDirectly } from "./direct-write.ts";
import { type FrameChain, MAX_JOINED } from "./frame-chain.ts";

const NOTHING = Buffer.alloc(0);
/** Characters of a frame that are copied behind its head. */
const MAX_COPIED = 1024;
/** Nobody has looked. */
const NEVER = -1;

/** A sender that holds back frames till the end of the turn, and lets nothing else overtake them. */
export class OrderedSender extends FrameSender {
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

  /** Makes the sender of a new WebSocket of `ws` one of these. */
  static adopt(stock: object, isPlain: boolean): void {
    const sender: OrderedSender = Object.setPrototypeOf(stock, OrderedSender.prototype);
    sender.pending = undefined;
    sender.isAwaited = false;
    sender.lastWrite = 0;
    sender.transport = undefined;
    sender.openAt = NEVER;
    sender.handle = undefined;
    sender.underWay = 0;
    sender.isPlain = isPlain;
  }

  protected override sending(frame: WsFrame): WsFrame {
    if (this.pending !== undefined) this.writePending();
    this.disturbed();
    this.lastWrite = (frame[0]?.length ?? 0) + (frame[1]?.length ?? 0);
    return joined(frame) ?? frame;
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
    if (pending === undefined) return this.underWay === 0 && this.stream.writableLength === 0;
    pending.holders--;
    this.pending = undefined;
    this.lastWrite = pending.length;
    const bytes = pending.bytes();
    const outcome = this.handle && writeDirectly(this.handle, bytes, this);
    if (outcome === "taken") return true;
    const { stream } = this;
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
    if (error && !this.stream.destroyed) this.stream.destroy(error);
  }

  /** Makes Engine.IO queue what follows until the kernel has taken what the stream holds, as after a write of its own. */
  holdUntilWritten(): void {
    this.disturbed();
    const goOn = this.transport && holdTransport(this.transport);
    if (!goOn) return;
    this.stream.write(NOTHING, (error) => {
      // The stream's end is told by its own events.
      if (!error) goOn();
    });
  }
}

/** A short text's frame in one piece, which costs a stream less than two. */
function joined(frame: WsFrame): WsFrame | undefined {
  const [head, text] = frame;
  const isShort =
    frame.length === 2 && typeof head === "object" && typeof text === "string" && text.length <= MAX_COPIED;
  if (!isShort) return undefined;
  const whole = Buffer.allocUnsafe(head.length + Buffer.byteLength(text));
  whole.set(head);
  whole.write(text, head.length);
  return [whole];
}
