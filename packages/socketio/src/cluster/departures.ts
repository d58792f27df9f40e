import type { Socket } from "socket.io";
import type { LastEmit } from "./absences.ts";
import type { Cluster } from "./cluster.ts";
import type { Room } from "./room-channel.ts";

/** Nobody's leave or disconnect is held up by a broker that does not answer for longer than this. */
const MOST_MS = 2_000;

interface Leave {
  /** Of what was emitted to the room before. */
  readonly last: LastEmit | undefined;
}

/**
 * Sockets that leave a room, or are disconnected, while something that this node emitted before is on its way: it was
 * for them, too. So a leave counts for what comes from the log only when that has come, and a disconnect is done then.
 * What this node emits afterwards waits until it is.
 */
export class Departures {
  readonly #cluster: Cluster;
  readonly #leaving = new Map<Room, Map<string, Leave>>();
  readonly #disconnecting = new WeakSet<Socket>();
  #isInTurn = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Sockets that have left a room, and are given what was emitted before. */
  of(room: Room): Iterable<string> {
    return this.#leaving.get(room)?.keys() ?? [];
  }

  /** The last of what a socket that has left a room is given; undefined where nothing of it is on its way. */
  leftAt(id: string, room: Room): LastEmit | undefined {
    return this.#leaving.get(room)?.get(id)?.last;
  }

  has(room: Room): boolean {
    return this.#leaving.has(room);
  }

  /** What is done now has waited for its turn, or another node asks for it. */
  get isInTurn(): boolean {
    return this.#isInTurn;
  }

  /** Does what has waited for its turn already, and what another node asks for: it counts at once. */
  inTurn<T>(work: () => T): T {
    this.#isInTurn = true;
    try {
      return work();
    } finally {
      this.#isInTurn = false;
    }
  }

  /** A socket left a room. @param onGone told when it is gone for good */
  left(id: string, room: Room, channel: string, onGone: () => void): void {
    const before = this.#before([channel]);
    if (!before) return;
    const leaving = this.#leaving.get(room) ?? new Map<string, Leave>();
    const leave: Leave = { last: this.#cluster.lastEmit(channel) };
    this.#leaving.set(room, leaving.set(id, leave));
    void before.then(() => {
      if (leaving.get(id) === leave) leaving.delete(id);
      if (leaving.size === 0 && this.#leaving.get(room) === leaving) this.#leaving.delete(room);
      onGone();
    });
  }

  /**
   * Does a disconnect when its time has come.
   *
   * @param channels of the rooms that the socket is in
   * @returns false: nothing is on its way to it, so that is now
   */
  defer(socket: Socket, channels: readonly string[], disconnect: () => void): boolean {
    if (this.#disconnecting.has(socket)) return false;
    const before = this.#before(channels);
    if (!before) return false;
    this.#disconnecting.add(socket);
    // To the program it is done: what the client says from now on is not heard. Socket.IO itself has to take part again.
    socket.connected = false;
    void before.then(() => {
      socket.connected = true;
      disconnect();
    });
    return true;
  }

  #before(channels: readonly string[]): Promise<unknown> | undefined {
    const settled = this.#isInTurn ? undefined : this.#cluster.settled(channels);
    if (!settled) return undefined;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, MOST_MS);
    const before = Promise.race([settled, late.promise]).finally(() => clearTimeout(timer));
    this.#cluster.hold(channels, before);
    return before;
  }
}
