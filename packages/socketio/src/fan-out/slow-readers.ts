import type { Namespace, Socket } from "socket.io";
import { cutOff, PACKET_OVERHEAD, queuedBytes } from "../backlog.ts";
import { connectionOf, type EngineConnection } from "../stock.ts";
import { lastWriteOf } from "./open-sender.ts";

/** Every connection that takes no more is looked at so often, whoever wrote to it. Milliseconds. */
const SWEEP_INTERVAL_MS = 1_000;

/**
 * Cuts off clients that do not read. A connection's queues are counted only where they may have passed the bound:
 * by the sum of what was written since they were counted last, and in a sweep now and then for what others wrote.
 * It happens after a turn of the event loop, so a queue can exceed the bound by what came in one turn. A single packet
 * may be larger than the bound.
 */
export class SlowReaders {
  readonly #maxQueuedBytes: number;
  readonly #onSlow: (socket: Socket, queuedBytes: number) => void;
  /** At most so many bytes are queued, of connections that took no more when they were last written to. */
  readonly #owed = new WeakMap<EngineConnection, number>();
  readonly #namespaces = new Set<Namespace>();
  readonly #timer: NodeJS.Timeout;
  #suspects = new Set<Socket>();
  #looks = 0;
  #check: NodeJS.Immediate | undefined;

  constructor(maxQueuedBytes: number, onSlow: (socket: Socket, queuedBytes: number) => void) {
    this.#maxQueuedBytes = maxQueuedBytes;
    this.#onSlow = onSlow;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS);
    this.#timer.unref();
  }

  /** How often everybody was looked at. */
  get looks(): number {
    return this.#looks;
  }

  /** Sweeps this namespace's sockets too. @returns ends that */
  watch(namespace: Namespace): () => void {
    this.#namespaces.add(namespace);
    return () => this.#namespaces.delete(namespace);
  }

  /** A packet was left in the queue of a connection that takes no more at the moment. */
  queued(socket: Socket, connection: EngineConnection, bytes: number, pieces: number): void {
    const { writeBuffer, transport } = connection;
    // This packet is all that Engine.IO holds: it has drained since.
    const hasDrained = writeBuffer.length <= pieces;
    const before = hasDrained ? (transport.socket?.bufferedAmount ?? 0) : (this.#owed.get(connection) ?? 0);
    const owed = before + bytes + pieces * PACKET_OVERHEAD;
    this.#owed.set(connection, owed);
    if (owed > this.#maxQueuedBytes) this.#suspect(socket);
  }

  close(): void {
    clearInterval(this.#timer);
    clearImmediate(this.#check);
    this.#namespaces.clear();
  }

  #suspect(socket: Socket): void {
    this.#suspects.add(socket);
    this.#check ??= setImmediate(() => {
      this.#check = undefined;
      const suspects = this.#suspects;
      this.#suspects = new Set();
      for (const one of suspects) this.#count(one);
    });
  }

  #sweep(): void {
    this.#looks++;
    for (const namespace of this.#namespaces) {
      for (const socket of namespace.sockets.values()) {
        if (!connectionOf(socket).transport.writable) this.#count(socket);
      }
    }
  }

  #count(socket: Socket): void {
    const connection = connectionOf(socket);
    const bytes = queuedBytes(socket);
    if (bytes <= this.#maxQueuedBytes || isOnePacket(connection)) {
      this.#owed.set(connection, bytes);
      return;
    }
    this.#onSlow(socket, bytes);
    cutOff(socket);
  }
}

/** A packet that is larger than the bound has to reach its client all the same. */
function isOnePacket({ writeBuffer, transport }: EngineConnection): boolean {
  const onTheWay = transport.socket?.bufferedAmount ?? 0;
  if (onTheWay === 0) return writeBuffer.length < 2;
  return writeBuffer.length === 0 && onTheWay <= lastWriteOf(transport);
}
