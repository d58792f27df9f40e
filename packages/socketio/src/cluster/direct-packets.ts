import type { Socket } from "socket.io";

/** Nobody waits longer for what a broker does not answer, or does not bring. */
const MOST_MS = 2_000;

/** Packets that wait for their turn at one socket, and their bytes; past it all of them are written at once. */
const MAX_WAITING = { packets: 1_000, bytes: 1024 * 1024 } as const;

/** Sockets that are looked for one by one in a list of others. */
const FEW = 8;

/** An entry of a room's log that a packet comes after. */
export interface Earlier {
  readonly channel: string;
  /** Of the entry that was handed out last when the packet was written. */
  readonly from: number;
  /** Where the entry is; undefined until the broker has said so. */
  offset: number | undefined;
}

/** A packet of the program's own, past the logs: an emit to one socket, or an answer to its client. */
interface Direct {
  /** Every one of these comes first. */
  earlier: readonly Earlier[];
  /** A join of the socket that it may tell of is not in effect yet. What comes from the logs need not wait for that. */
  isJoining: boolean;
  /** So many of what arrived for the socket come first. */
  readonly after: number;
  readonly bytes: number;
  readonly deadline: number;
  readonly write: () => void;
}

/** From here on it is not known yet what of the logs is for the socket. */
interface Bar {
  /** So much of what arrived before can be written. */
  readonly after: number;
  readonly deadline: number;
}

/** What has come from a log: the packet, if it is for this socket, or that the log has come so far. */
interface Arrival {
  readonly write?: () => void;
  readonly channel?: string;
  readonly offset?: number;
}

/**
 * One socket that was written to directly while something that this node emitted to its rooms is on its way. Both kinds
 * are written in the order of the program's calls: what comes from the logs waits here until the broker has said which of
 * it the direct packet comes after.
 */
class Line {
  readonly #directs: Direct[] = [];
  readonly #arrived: Arrival[] = [];
  /** The oldest first. */
  readonly #bars = new Set<Bar>();
  /** How far each log has been written here. */
  readonly #passed = new Map<string, number>();
  /** Logs that tell it how far they have come. */
  readonly channels = new Set<string>();
  timer: NodeJS.Timeout | undefined;
  #arrivals = 0;
  #written = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#directs.length === 0 && this.#bars.size === 0;
  }

  /** What comes from a log has to wait, too: where it belongs, or whether it is for the socket, is not known yet. */
  get isBlocked(): boolean {
    return (
      this.#bars.size > 0 || this.#directs[0]?.earlier.some(({ offset }) => offset === undefined) === true
    );
  }

  get isFull(): boolean {
    return this.#directs.length > MAX_WAITING.packets || this.#bytes > MAX_WAITING.bytes;
  }

  get deadline(): number {
    const [bar] = this.#bars;
    const latest = Number.POSITIVE_INFINITY;
    return Math.min(this.#directs[0]?.deadline ?? latest, bar?.deadline ?? latest);
  }

  bar(): Bar {
    const bar = { after: this.#arrivals, deadline: performance.now() + MOST_MS };
    this.#bars.add(bar);
    return bar;
  }

  lift(bar: Bar): void {
    this.#bars.delete(bar);
  }

  put(earlier: readonly Earlier[], isJoining: boolean, bytes: number, write: () => void): Direct {
    const deadline = performance.now() + MOST_MS;
    const direct: Direct = { earlier, isJoining, after: this.#arrivals, bytes, deadline, write };
    this.#directs.push(direct);
    this.#bytes += bytes;
    return direct;
  }

  arrived(arrival: Arrival): void {
    this.#arrived.push(arrival);
    this.#arrivals++;
  }

  /** Those that have waited for too long wait no more. */
  expire(now: number): void {
    for (const bar of this.#bars) if (bar.deadline <= now) this.#bars.delete(bar);
    for (const direct of this.#directs) {
      if (direct.deadline > now) return;
      direct.earlier = [];
      direct.isJoining = false;
    }
  }

  /** Writes what may be written now. */
  advance(): void {
    for (let direct = this.#directs[0]; direct; direct = this.#directs[0]) {
      const { earlier, after, bytes, write } = direct;
      if (earlier.some(({ offset }) => offset === undefined)) return;
      // What this node emits after it is not sent before the join is over.
      if (direct.isJoining) break;
      while (this.#written < after || !earlier.every((one) => this.#isWritten(one))) {
        if (!this.#writeNext()) return;
      }
      this.#directs.shift();
      this.#bytes -= bytes;
      write();
    }
    while (this.#writeNext());
  }

  /** Writes all of it, whatever it should have come after. */
  flush(): void {
    this.expire(Number.POSITIVE_INFINITY);
    this.advance();
  }

  #isWritten({ channel, from, offset = 0 }: Earlier): boolean {
    return Math.max(from, this.#passed.get(channel) ?? 0) >= offset;
  }

  #writeNext(): boolean {
    const [bar] = this.#bars;
    if (bar && this.#written >= bar.after) return false;
    const next = this.#arrived.shift();
    if (!next) return false;
    this.#written++;
    if (next.channel !== undefined) this.#passed.set(next.channel, next.offset ?? 0);
    next.write?.();
    return true;
  }
}

/** The sockets of one packet: those that are given it now, and those at which it has to wait. */
interface Parted {
  readonly sockets: readonly Socket[];
  readonly free: readonly Socket[];
  readonly held: readonly (readonly [Socket, Line])[];
}

/**
 * What the program writes to its own sockets past the logs. As on one server in memory, an emit to a room and then one to
 * a socket that is in it come in this order, although the first takes the way through its log: the second waits for it.
 * Where nothing is on its way to a socket, and it joins nothing, nothing waits.
 */
export class DirectPackets {
  readonly #lines = new Map<Socket, Line>();
  /** Those at which what comes from a log has to wait. */
  readonly #blocked = new Map<Socket, Line>();
  /** Lines that are told how far a log has come. */
  readonly #byChannel = new Map<string, Map<Socket, Line>>();
  /** How the sockets of the last packet were parted; undefined once others are blocked. */
  #parted: Parted | undefined;

  has(socket: Socket): boolean {
    return this.#lines.has(socket);
  }

  /**
   * Writes a packet behind all that was written to the socket before, and behind these entries.
   *
   * @param earlier their `offset` may be told later: then call `told`
   * @param joined resolves once joins of the socket that come first, too, are over
   */
  put(
    socket: Socket,
    earlier: readonly Earlier[],
    bytes: number,
    write: () => void,
    joined?: Promise<unknown>,
  ): void {
    const known = this.#lines.get(socket);
    if (!known && earlier.length === 0 && !joined) {
      write();
      return;
    }
    const line = known ?? this.#begin(socket);
    const direct = line.put(earlier, joined !== undefined, bytes, write);
    void joined?.then(() => {
      direct.isJoining = false;
      this.told(socket);
    });
    if (!known) this.#watch(socket, line);
    for (const { channel } of earlier) {
      const lines = this.#byChannel.get(channel) ?? new Map<Socket, Line>();
      this.#byChannel.set(channel, lines.set(socket, line));
      line.channels.add(channel);
    }
    if (line.isFull) this.flush(socket);
    else this.#mark(socket, line);
  }

  /**
   * Of what comes from the logs from now on it is not known whether it is for this socket, so it waits.
   *
   * @returns ends that
   */
  bar(socket: Socket): () => void {
    const known = this.#lines.get(socket);
    const line = known ?? this.#begin(socket);
    const bar = line.bar();
    if (!known) this.#watch(socket, line);
    this.#mark(socket, line);
    return () => {
      line.lift(bar);
      if (this.#lines.get(socket) === line) this.#advance(socket, line);
    };
  }

  /** Where an entry is that something of this socket comes after was told, or that a join is over. */
  told(socket: Socket): void {
    const line = this.#lines.get(socket);
    if (line) this.#advance(socket, line);
  }

  /** Those of the sockets that can be given now what came from a log; the others are given it in its turn. */
  writable(sockets: readonly Socket[], write: (socket: Socket) => void): readonly Socket[] {
    if (this.#blocked.size === 0) return sockets;
    const parted = this.#part(sockets);
    for (const [socket, line] of parted.held) line.arrived({ write: () => write(socket) });
    return parted.free;
  }

  /** What was in a log up to here has been handed out. */
  passed(channel: string, offset: number): void {
    for (const [socket, line] of this.#byChannel.get(channel) ?? []) {
      line.arrived({ channel, offset });
      this.#advance(socket, line);
    }
  }

  /** Writes at once all that waits for a socket. */
  flush(socket: Socket): void {
    const line = this.#lines.get(socket);
    if (!line) return;
    line.flush();
    this.#remove(socket, line);
  }

  #begin(socket: Socket): Line {
    const line = new Line();
    this.#lines.set(socket, line);
    return line;
  }

  #advance(socket: Socket, line: Line): void {
    line.advance();
    if (line.isEmpty) this.#remove(socket, line);
    else this.#mark(socket, line);
  }

  #mark(socket: Socket, line: Line): void {
    const { isBlocked } = line;
    if (isBlocked === this.#blocked.has(socket)) return;
    if (isBlocked) this.#blocked.set(socket, line);
    else this.#blocked.delete(socket);
    this.#parted = undefined;
  }

  /** The same array again, for packets that come together, is parted once: the fan-out has less to do then, too. */
  #part(sockets: readonly Socket[]): Parted {
    if (this.#parted?.sockets === sockets) return this.#parted;
    const held: [Socket, Line][] = [];
    const isFree = (socket: Socket) => {
      const line = this.#blocked.get(socket);
      if (line) held.push([socket, line]);
      return !line;
    };
    const isNone =
      this.#blocked.size <= FEW && ![...this.#blocked.keys()].some((one) => sockets.includes(one));
    const free = isNone ? sockets : sockets.filter(isFree);
    this.#parted = { sockets, free: held.length === 0 ? sockets : free, held };
    return this.#parted;
  }

  #remove(socket: Socket, line: Line): void {
    if (this.#lines.get(socket) !== line) return;
    this.#lines.delete(socket);
    if (this.#blocked.delete(socket)) this.#parted = undefined;
    clearTimeout(line.timer);
    for (const channel of line.channels) {
      const lines = this.#byChannel.get(channel);
      lines?.delete(socket);
      if (lines?.size === 0) this.#byChannel.delete(channel);
    }
  }

  #watch(socket: Socket, line: Line): void {
    line.timer = setTimeout(
      () => {
        line.expire(performance.now());
        this.#advance(socket, line);
        if (!line.isEmpty) this.#watch(socket, line);
      },
      Math.max(1, line.deadline - performance.now()),
    );
    line.timer.unref();
  }
}
