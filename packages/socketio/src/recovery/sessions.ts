import type { Entry } from "@holdfast/broker";
import type { Hub } from "@holdfast/hub";
import type { Socket } from "socket.io";
import { cutOff } from "../backlog.ts";
import type { Emitted } from "../cluster/emit-queue.ts";
import type { PacketEntry } from "../cluster/packet-entry.ts";
import type { Room } from "../cluster/room-channel.ts";
import type { HoldfastCounters } from "../counters.ts";
import type { HoldfastEvent } from "../events.ts";
import { gatherWrites } from "../fan-out/open-sender.ts";
import { connectionOf, pidOf } from "../stock.ts";
import { PLACE_EVENT } from "../wire.ts";
import { HeldSockets } from "./held-sockets.ts";
import { Joins } from "./joins.ts";
import type { NewestPages } from "./newest-pages.ts";
import { MAX_KEPT } from "./outbox.ts";
import { formatPlace, START, UNSURE } from "./place.ts";
import { eachOnce, isForSession, portionsOf } from "./replay.ts";
import { Restore, type RestoredSession } from "./restore.ts";
import { type KeptPacket, Session } from "./session.ts";
import { dataOf, isDataChanged, mayHaveChanged, watchData } from "./session-data.ts";
import type { SessionHost } from "./session-host.ts";
import { isId, markOf } from "./session-record.ts";
import type { SessionStore } from "./session-store.ts";
import { SessionWriter } from "./session-writer.ts";
import { noteSilent, SilentRooms } from "./silent-rooms.ts";

export interface SessionsContext {
  readonly hub: Hub;
  readonly store: SessionStore;
  readonly pages: NewestPages;
  readonly counters: HoldfastCounters;
  readonly onEvent: (event: HoldfastEvent) => void;
}

/** Records in which the newest entries of silent rooms are noted at a time. */
const SILENT_AT_ONCE = 200;

/**
 * The sessions of one namespace on this node. A socket's record is stored before its client is given anything that
 * relies on it: while it is not, after a connection, a join or a leave, what comes for the socket waits.
 */
export class Sessions {
  readonly #host: SessionHost;
  readonly #context: SessionsContext;
  readonly #bySid = new Map<string, Session>();
  readonly #byPid = new Map<string, Session>();
  /** Restored ones that are not connected yet, by the rooms that they are in. */
  readonly #pending = new Set<Session>();
  readonly #joins: Joins;
  readonly #held: HeldSockets;
  readonly #writer: SessionWriter;
  readonly #silent = new SilentRooms();

  constructor(host: SessionHost, context: SessionsContext) {
    this.#host = host;
    this.#context = context;
    this.#writer = new SessionWriter(host, context, (session) => {
      context.counters.sessionsLost++;
      this.#replace(session);
    });
    this.#joins = new Joins(host, context.hub, (session) => void this.#writer.save(session));
    this.#held = new HeldSockets(
      (sid) => this.#bySid.get(sid),
      (session) => this.#break(session, "behind"),
    );
  }

  get size(): number {
    return this.#bySid.size;
  }

  /** The place of a client that is given this entry now. */
  place(channel: string, entry: Entry): string {
    const { hub } = this.#context;
    return hub.inOrder ? formatPlace(channel, entry, hub.seq) : UNSURE;
  }

  /** An entry has come for the sockets of a room; before it is handed to any of them. */
  arrived(room: Room | null, channel: string, entry: Entry, packet: PacketEntry, place: string): void {
    this.#silent.arrived(channel, entry);
    this.#joins.arrived(channel);
    if (this.#pending.size === 0) return;
    for (const session of this.#pending) {
      if (session.isBroken || !session.rooms.has(room)) continue;
      if (!isForSession(packet, this.#host.namespace, this.#host.roomsOf(session.sid))) continue;
      const { offset, seq } = entry;
      this.#keep(session, { channel, offset, seq, packet, place }, entry.data.length);
    }
  }

  /** A channel is no longer followed. */
  forget(channel: string): void {
    this.#silent.forget(channel);
  }

  /** Those of the sockets that can be written to now; for the others it is written later. */
  writable(sockets: readonly Socket[], bytes: number, write: (socket: Socket) => void): readonly Socket[] {
    return this.#held.writable(sockets, bytes, write);
  }

  /** Whether something waits for a socket. */
  isWaiting(socket: Socket): boolean {
    return this.#held.isWaiting(socket);
  }

  /** Whether what is in no log has to wait, too: behind what does, or for the record. */
  isHeld(socket: Socket): boolean {
    return this.#held.isHeld(socket);
  }

  /** Writes a packet that is in no log, once nothing waits for the socket: after a while, if something goes on waiting. */
  behind(socket: Socket, bytes: number, write: () => void): void {
    this.#held.behind(socket, bytes, write);
  }

  /**
   * A socket has joined rooms; its own one when it is connected. @returns resolves once its record says so; undefined
   * where it has none to write
   */
  joined(sid: string, rooms: Iterable<Room>): Promise<void> | undefined {
    const socket = this.#host.socket(sid);
    let session = this.#bySid.get(sid);
    if (socket && !session?.socket) {
      session = session ? this.#connect(session, socket) : this.#open(socket);
    } else if (session) this.#joins.join(session, rooms);
    return this.#writer.saved(session);
  }

  /** What a socket is given of a room, and comes back to, begins behind an emit that was on its way when it joined. */
  joinedAfter(sid: string, room: Room, emitted: Emitted | undefined): void {
    const session = this.#bySid.get(sid);
    const joined = session?.rooms.get(room);
    if (!session || !joined || joined.epoch !== emitted?.position.epoch || joined.join.seq >= emitted.seq)
      return;
    session.joined({ ...joined, join: markOf(emitted.position, emitted.seq) });
    void this.#writer.save(session);
  }

  /** Resolves once a socket's record says what it is in; undefined where that is so. */
  saved(sid: string): Promise<void> | undefined {
    return this.#writer.saved(this.#bySid.get(sid));
  }

  left(sid: string, room: Room): void {
    const session = this.#bySid.get(sid);
    if (!session) return;
    this.#joins.left(session, this.#host.channelOf(room));
    if (!session.leave(room) || !session.socket) return;
    session.outbox.hold();
    void this.#writer.save(session);
  }

  /** Socket.IO's `persistSession`: the client may come back. */
  expected(sid: string): void {
    const session = this.#bySid.get(sid);
    if (!session || session.isBroken || session.isReplaced) return;
    session.isExpected = true;
    session.finalData = dataOf(session);
    if (session.finalData !== session.savedData) void this.#writer.save(session);
  }

  /** A socket is gone, with all its rooms. */
  gone(sid: string): void {
    const session = this.#bySid.get(sid);
    if (!session || session.isOver) return;
    const { store, counters } = this.#context;
    session.isOver = true;
    counters.sessions--;
    this.#bySid.delete(sid);
    if (this.#byPid.get(session.pid) === session) this.#byPid.delete(session.pid);
    this.#pending.delete(session);
    settle(session);
    session.outbox.drop();
    if (session.isReplaced) return;
    // One that was restored and not let in again may be tried again.
    if (session.isBroken || (session.socket && !session.isExpected)) store.remove(session.pid);
    else store.end(session.pid);
  }

  /** Entries of a room were lost to its sockets: none of them can be told what it missed. */
  reset(room: Room | null, channel: string): void {
    this.forget(channel);
    for (const sid of [...this.#host.membersOf(room)]) {
      const session = this.#bySid.get(sid);
      if (session) this.#break(session, "reset");
    }
  }

  /** Another node goes on with this session. @returns whether it was one of this namespace */
  lost(pid: string): boolean {
    const session = this.#byPid.get(pid);
    if (!session) return false;
    this.#context.counters.sessionsLost++;
    this.#replace(session);
    return true;
  }

  /** Socket.IO's `restoreSession`. Never rejects; undefined where the client starts anew. */
  async restore(pid: string, offset: string): Promise<RestoredSession | undefined> {
    if (!isId(pid)) return undefined;
    const restore = new Restore(this.#host, this.#context, {
      leave: () => this.#leave(pid),
      begin: (session) => {
        if (this.#byPid.has(pid)) return false;
        const namesake = this.#bySid.get(session.sid);
        if (namesake) this.#replace(namesake);
        session.kept = [];
        this.#add(session);
        this.#pending.add(session);
        return true;
      },
      isCurrent: (session) => this.#bySid.get(session.sid) === session,
    });
    return restore.run(pid, offset);
  }

  /** Something is said to a socket's client: what was done before may have changed `socket.data`. */
  said(sid: string, isAnswer = false): void {
    const session = this.#bySid.get(sid);
    if (session && mayHaveChanged(session, isAnswer)) void this.#writer.save(session);
  }

  /** Writes records whose `socket.data` has changed, and notes the newest entry of rooms that became silent. */
  sweep(): void {
    const silent = this.#silent.find();
    const channelOf = (room: Room | null) => this.#host.channelOf(room);
    let noted = 0;
    for (const session of this.#bySid.values()) {
      if (!session.socket || session.isBroken) continue;
      let isChanged = isDataChanged(session);
      if (silent.size > 0 && noted < SILENT_AT_ONCE && noteSilent(session, silent, channelOf)) {
        noted++;
        isChanged = true;
      }
      if (isChanged) void this.#writer.save(session);
    }
  }

  #add(session: Session): void {
    this.#bySid.set(session.sid, session);
    this.#byPid.set(session.pid, session);
    this.#context.counters.sessions++;
    this.#held.watch(session);
  }

  /** Resolves once no socket of this node has the session. */
  async #leave(pid: string): Promise<void> {
    for (let session = this.#byPid.get(pid); session; session = this.#byPid.get(pid)) {
      const { socket, isRestored, onSettled } = session;
      // Socket.IO has a socket of this id that is not connected yet, and takes it out of its rooms if it never is; or the
      // server is about to disconnect it, and takes it out when that is done.
      if (socket ? !socket.connected : isRestored)
        await new Promise<void>((resolve) => onSettled.push(resolve));
      else this.#replace(session);
    }
  }

  #open(socket: Socket): Session | undefined {
    const pid = pidOf(socket);
    // Clients of older protocols have no session.
    if (!isId(pid) || !isId(socket.id)) return undefined;
    const session = new Session(socket.id, pid);
    this.#add(session);
    session.socket = socket;
    session.outbox.hold();
    session.outbox.put(0, () => this.#host.sendEvent(socket, [PLACE_EVENT, START]));
    this.#joins.join(session, [null, ...this.#host.roomsOf(socket.id)]);
    watchData(session, socket, () => void this.#writer.save(session));
    return session;
  }

  #connect(session: Session, socket: Socket): Session {
    session.socket = socket;
    settle(session);
    this.#pending.delete(session);
    const kept = eachOnce(session.kept ?? [], session.had);
    session.kept = undefined;
    // Socket.IO's own packet that says so comes first.
    const write = gatherWrites(connectionOf(socket));
    queueMicrotask(() => {
      if (session.isBroken) this.#end(session);
      else this.#writer.release(session);
      write();
      if (!session.isOver && isDataChanged(session)) void this.#writer.save(session);
    });
    if (session.isBroken) return session;
    this.#host.hadCopies(socket, session.had);
    session.outbox.hold();
    for (const packets of portionsOf(kept)) {
      const bytes = packets.reduce((sum, { packet }) => sum + packet.text.length, 0);
      session.outbox.put(bytes, () => this.#host.sendAll(socket, packets), packets.length);
    }
    this.#joins.join(session, this.#host.roomsOf(socket.id));
    watchData(session, socket, () => void this.#writer.save(session));
    return session;
  }

  /** Hands out all that waits for a socket that is about to be disconnected: nobody goes on with its session. */
  flush(socket: Socket): void {
    const session = this.#bySid.get(socket.id);
    if (session?.socket === socket) session.outbox.flush();
  }

  #keep(session: Session, kept: KeptPacket, bytes: number): void {
    session.kept ??= [];
    session.kept.push(kept);
    session.keptBytes += bytes;
    if (session.kept.length <= MAX_KEPT.entries && session.keptBytes <= MAX_KEPT.bytes) return;
    this.#break(session, "behind");
  }

  /** The client starts anew: nobody can go on with this session any more. */
  #break(session: Session, reason: "reset" | "behind"): void {
    if (session.isBroken) return;
    session.isBroken = true;
    session.kept = undefined;
    this.#context.counters.sessionsBroken++;
    this.#context.onEvent({
      type: "session-broken",
      namespace: this.#host.namespace,
      socket: session.sid,
      reason,
    });
    this.#context.store.remove(session.pid);
    this.#end(session);
  }

  /** The old socket of a session that goes on elsewhere is given nothing more, and its record is not touched. */
  #replace(session: Session): void {
    session.isReplaced = true;
    if (!session.socket) this.#host.leaveAll(session.sid);
    this.#end(session);
    this.gone(session.sid);
  }

  #end({ socket }: Session): void {
    if (!socket) return;
    cutOff(socket);
    // Long-polling has no end of its own before the next request.
    if (socket.connected) this.#host.disconnect(socket);
  }
}

function settle({ onSettled }: Session): void {
  for (const resolve of onSettled.splice(0)) resolve();
}
