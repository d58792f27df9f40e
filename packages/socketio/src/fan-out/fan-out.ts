import type { Namespace, Socket } from "socket.io";
import { type ServerOptions, WebSocketServer } from "ws";
import {
  connectionMisfit,
  connectionOf,
  type EngineConnection,
  type EngineWriteOptions,
  writeToEngine,
} from "../stock.ts";
import { type Encoded, frameOf, sharedFrameOf } from "./frame.ts";
import { FrameChain, MAX_JOINED } from "./frame-chain.ts";
import { isServerWatched, openSender, staysOpen, writeAtOnce } from "./open-sender.ts";
import type { OrderedSender } from "./ordered-sender.ts";
import { OrderedWebSocketServer, webSocketMisfit } from "./ordered-web-socket.ts";
import { SlowReaders } from "./slow-readers.ts";
import { Turn } from "./turn.ts";

export interface FanOutOptions {
  /** Bytes that may wait to be read by one client, before it is cut off. */
  readonly maxQueuedBytes: number;
  /** Told of a client that is cut off because it does not read. */
  readonly onSlow: (socket: Socket, queuedBytes: number) => void;
  /** Told once, when all packets take the ordinary path because what is installed is not as it was known. */
  readonly onMisfit: (reason: string) => void;
  /** Looks at the installed packages; a test puts another in its place. */
  readonly misfit?: (connection?: EngineConnection) => string | undefined;
}

export interface WriteOptions {
  readonly volatile?: boolean | undefined;
  readonly compress?: boolean | undefined;
}

/** Sockets that make it worth to remember where each of them is written to. */
const LARGE_GROUP = 4;

/** Those of one call. */
interface Group {
  readonly sockets: Iterable<Socket>;
  /** What all of them hold, but for those apart, who take the ordinary path. */
  readonly chain: FrameChain;
  readonly joined: number;
  readonly apart: readonly Socket[];
}

/** One packet on its way, with what is made of it for the first who needs it. */
interface Write {
  readonly encoded: Encoded;
  readonly options: WriteOptions;
  frame: Buffer | undefined;
  ordinary: EngineWriteOptions | undefined;
}

/** What a fan-out has written since it was made. */
export interface FanOutCounters {
  /** Packets that went to a WebSocket in one write with what else its turn had. */
  joined: number;
  /** Packets that took Socket.IO's own way. */
  ordinary: number;
}

/**
 * Writes packets to many sockets. It means what Socket.IO's in-memory adapter does for each of them, and nobody can
 * tell the difference but by the clock: the frame is built once, what one turn of the event loop has is joined, and each
 * WebSocket gets one write. Whoever can't be written to so (polling, compression, an upgrade under way, something
 * queued already, somebody who counts packets) takes Socket.IO's own way, and nothing overtakes anything.
 *
 * Only WebSockets of a server that was given `wsEngine` are written to so.
 */
export class FanOut {
  /** For the option `wsEngine` of Socket.IO's `Server`. */
  readonly wsEngine: new (
    options?: ServerOptions,
  ) => WebSocketServer;
  readonly counters: Readonly<FanOutCounters>;
  readonly #counters: FanOutCounters = { joined: 0, ordinary: 0 };
  readonly #onMisfit: (reason: string) => void;
  readonly #misfit: (connection?: EngineConnection) => string | undefined;
  readonly #slowReaders: SlowReaders;
  readonly #turn = new Turn(() => {
    this.#group = undefined;
  });
  /** By the array that stands for a group. */
  readonly #senders = new WeakMap<readonly Socket[], (OrderedSender | undefined)[]>();
  #fits: boolean | undefined;
  /** Who was written to last in this turn. */
  #group: Group | undefined;

  constructor(options: FanOutOptions) {
    this.counters = this.#counters;
    this.#onMisfit = options.onMisfit;
    this.#misfit = options.misfit ?? installedMisfit;
    this.#slowReaders = new SlowReaders(options.maxQueuedBytes, options.onSlow);
    const reason = this.#misfit();
    if (reason !== undefined) this.#differs(reason);
    this.wsEngine = this.#fits === false ? WebSocketServer : OrderedWebSocketServer;
  }

  /**
   * @param sockets the same array again stands for the same sockets: then a packet that all of them can be given costs
   *   nothing for each of them until the turn ends
   * @param encoded what Socket.IO's encoder made of one packet
   */
  write(sockets: Iterable<Socket>, encoded: Encoded, options: WriteOptions = {}): void {
    const group = this.#group;
    if (group?.sockets === sockets && !options.volatile && this.#giveGroup(group, encoded, options)) return;
    this.#group = undefined;
    const write: Write = { encoded, options, frame: undefined, ordinary: undefined };
    const apart: Socket[] = [];
    const senders = this.#sendersOf(sockets);
    const { looks } = this.#slowReaders;
    let isWatched: boolean | undefined;
    let first: FrameChain | undefined;
    let isOne = true;
    let joined = 0;
    let index = 0;
    for (const socket of sockets) {
      let sender = senders?.[index];
      if (sender === undefined || sender.openAt !== looks) {
        sender = this.#openSender(socket, senders !== undefined);
        if (senders) senders[index] = sender;
      }
      index++;
      if (sender !== undefined) {
        isWatched ??= isServerWatched(connectionOf(socket));
        if (!isWatched) write.frame ??= frameOf(encoded);
        const { frame } = write;
        if (frame !== undefined && this.#turn.add(sender, frame)) {
          joined++;
          first ??= sender.pending;
          isOne &&= sender.pending === first;
          continue;
        }
      }
      apart.push(socket);
      this.#writeOrdinarily(socket, connectionOf(socket), write);
    }
    this.#counters.joined += joined;
    if (isOne && first !== undefined && Array.isArray(sockets)) {
      this.#group = { sockets, chain: first, joined, apart };
    }
  }

  /**
   * As `write` of one packet after the other to one socket, at once: together with what was just written to it, such as the
   * packet that says it is connected.
   */
  writeAll(socket: Socket, packets: readonly Encoded[], options: Omit<WriteOptions, "volatile"> = {}): void {
    const connection = connectionOf(socket);
    if (
      packets.length > 1 &&
      this.#fits !== false &&
      this.#knows(connection) &&
      !isServerWatched(connection)
    ) {
      const frames = packets.map(sharedFrameOf).filter((frame) => frame !== undefined);
      if (frames.length === packets.length && writeAtOnce(connection, frames)) {
        this.#counters.joined += packets.length;
        return;
      }
    }
    const sockets = [socket];
    for (const encoded of packets) this.write(sockets, encoded, options);
  }

  /** Cuts off sockets of this namespace too that do not read what others write to them. @returns ends that */
  watch(namespace: Namespace): () => void {
    return this.#slowReaders.watch(namespace);
  }

  /** What is held back is written; no client is cut off any more. Idempotent. */
  close(): void {
    this.#turn.flush();
    this.#slowReaders.close();
  }

  /** @returns false when its sockets no longer have the same pending: then nothing was done */
  #giveGroup(group: Group, encoded: Encoded, options: WriteOptions): boolean {
    const { chain, joined, apart } = group;
    if (chain.holders !== joined) return false;
    const frame = frameOf(encoded);
    if (frame === undefined || chain.length + frame.length > MAX_JOINED || !chain.give(frame)) return false;
    this.#counters.joined += joined;
    const write: Write = { encoded, options, frame, ordinary: undefined };
    for (const socket of apart) this.#writeOrdinarily(socket, connectionOf(socket), write);
    return true;
  }

  /** Where those of a large group were written to last, in their order: whoever was not disturbed since is open still. */
  #sendersOf(sockets: Iterable<Socket>): (OrderedSender | undefined)[] | undefined {
    if (!Array.isArray(sockets) || sockets.length < LARGE_GROUP) return undefined;
    let senders = this.#senders.get(sockets);
    if (!senders) {
      senders = Array.from({ length: sockets.length });
      this.#senders.set(sockets, senders);
    }
    return senders;
  }

  #openSender(socket: Socket, isKept: boolean): OrderedSender | undefined {
    const connection = connectionOf(socket);
    const sender = this.#fits === false ? undefined : openSender(connection);
    if (sender === undefined || !this.#knows(connection)) return undefined;
    sender.transport = connection.transport;
    if (isKept) staysOpen(sender, connection, this.#slowReaders.looks);
    return sender;
  }

  #writeOrdinarily(socket: Socket, connection: EngineConnection, write: Write): void {
    const { encoded, options, frame } = write;
    this.#counters.ordinary++;
    write.ordinary ??= ordinaryOptions(encoded, options, frame);
    writeToEngine(socket, encoded, write.ordinary);
    if (!connection.transport.writable && !options.volatile) {
      this.#slowReaders.queued(socket, connection, sizeOf(encoded), encoded.length);
    }
  }

  #knows(connection: EngineConnection): boolean {
    if (this.#fits === undefined) {
      const reason = this.#misfit(connection);
      if (reason === undefined) this.#fits = true;
      else this.#differs(reason);
    }
    return this.#fits === true;
  }

  #differs(reason: string): void {
    this.#fits = false;
    this.#onMisfit(reason);
  }
}

let ofWebSockets: { readonly reason: string | undefined } | undefined;

function installedMisfit(connection?: EngineConnection): string | undefined {
  if (connection) return connectionMisfit(connection);
  ofWebSockets ??= { reason: webSocketMisfit((text) => FrameChain.empty().with(frameOf([text]) as Buffer)) };
  return ofWebSockets.reason;
}

function ordinaryOptions(
  encoded: Encoded,
  options: WriteOptions,
  frame: Buffer | undefined,
): EngineWriteOptions {
  const { volatile, compress } = options;
  const ordinary: EngineWriteOptions = { preEncoded: true, volatile, compress };
  if (encoded.length === 1 && typeof encoded[0] === "string") {
    const whole = frame ?? frameOf(encoded);
    if (whole) ordinary.wsPreEncodedFrame = [whole];
  }
  return ordinary;
}

function sizeOf(encoded: Encoded): number {
  let bytes = 0;
  for (const piece of encoded) {
    if (typeof piece === "string") bytes += piece.length;
    else if (ArrayBuffer.isView(piece) || piece instanceof ArrayBuffer) bytes += piece.byteLength;
  }
  return bytes;
}
