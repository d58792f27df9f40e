import type { Entry } from "@holdfast/broker";
import type { Hub } from "@holdfast/hub";
import type { Socket } from "socket.io";
import { cutOff } from "../backlog.ts";
import type { PacketEntry } from "../cluster/packet-entry.ts";
import { LOCAL_ROOM_PREFIX, type Room } from "../cluster/room-channel.ts";
import type { HoldfastCounters } from "../counters.ts";
import type { HoldfastEvent } from "../events.ts";
import { connectionOf, gatherWrites } from "../fan-out/internals.ts";
import { PLACE_EVENT } from "../wire.ts";
import type { NewestPages } from "./newest-pages.ts";
import { MAX_KEPT } from "./outbox.ts";
import { formatPlace, START, UNSURE } from "./place.ts";
import { eachOnce, isForSession, portionsOf } from "./replay.ts";
import { Restore, type RestoredSession } from "./restore.ts";
import { type KeptPacket, Session } from "./session.ts";
import type { HostRoom, SessionHost } from "./session-host.ts";
import { encodeSessionRecord, isId, markOf } from "./session-record.ts";
import type { SessionStore, SessionWrite } from "./session-store.ts";

export interface SessionsContext {
  readonly hub: Hub;
  readonly store: SessionStore;
  readonly pages: NewestPages;
  readonly counters: HoldfastCounters;
  readonly onEvent: (event: HoldfastEvent) => void;
}

/** A room that was silent for this long has its newest entry noted in the records, before its log forgets it. */
const SILENT_MS = 30_000;
/** Emits to a socket, after each event of its client, that may be the last that a listener does. */
const LOOKS = 8;
/** What is in no log waits no longer than this for what is. */
const MOST_BEHIND_MS = 2_000;
/** Records that are written for that at a time. */
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
  /** Sockets that wait for a channel to be followed. */
  readonly #unready = new Map<string, Set<Session>>();
  /** For how many packets have to wait. */
  #holding = 0;
  readonly #newest = new Map<string, { offset: number; tag: string; seq: number; at: number }>();

  constructor(host: SessionHost, context: SessionsContext) {
    this.#host = host;
    this.#context = context;
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
    const { offset, tag, seq } = entry;
    this.#newest.set(channel, { offset, tag, seq, at: performance.now() });
    for (const session of this.#unready.get(channel) ?? []) session.outbox.hold();
    if (this.#pending.size === 0) return;
    for (const session of this.#pending) {
      if (session.isBroken || !session.rooms.has(room)) continue;
      if (!isForSession(packet, this.#host.namespace, this.#host.roomsOf(session.sid))) continue;
      this.#keep(session, { channel, offset, seq, packet, place }, entry.data.length);
    }
  }

  /** A channel is no longer followed. */
  forget(channel: string): void {
    this.#newest.delete(channel);
  }

  /** Those of the sockets that can be written to now; for the others it is written later. */
  writable(sockets: readonly Socket[], bytes: number, write: (socket: Socket) => void): readonly Socket[] {
    if (this.#holding === 0) return sockets;
    return sockets.filter((socket) => {
      const session = this.#bySid.get(socket.id);
      if (!session?.outbox.isHolding || session.socket !== socket) return true;
      session.outbox.put(bytes, () => write(socket));
      if (session.outbox.isFull) this.#break(session, "behind");
      return false;
    });
  }

  /** Whether something waits for a socket. */
  isHeld({ id }: Socket): boolean {
    return this.#holding > 0 && this.#bySid.get(id)?.outbox.isWaiting === true;
  }

  /** Writes a packet that is in no log, behind what waits for the socket: for a while, if that goes on waiting. */
  behind(socket: Socket, bytes: number, write: () => void): void {
    const session = this.#bySid.get(socket.id);
    if (!session || session.socket !== socket || !session.outbox.isWaiting) {
      write();
      return;
    }
    let isWritten = false;
    const once = () => {
      if (!isWritten) write();
      isWritten = true;
    };
    const timer = setTimeout(once, MOST_BEHIND_MS).unref();
    session.outbox.put(bytes, () => {
      clearTimeout(timer);
      once();
    });
    if (session.outbox.isFull) this.#break(session, "behind");
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
    } else if (session) this.#join(session, rooms);
    return this.#saved(session);
  }

  /** Resolves once a socket's record says what it is in; undefined where that is so. */
  saved(sid: string): Promise<void> | undefined {
    return this.#saved(this.#bySid.get(sid));
  }

  left(sid: string, room: Room): void {
    const session = this.#bySid.get(sid);
    this.#unready.get(this.#host.channelOf(room))?.delete(session as Session);
    if (!session?.leave(room) || !session.socket) return;
    session.outbox.hold();
    void this.#save(session);
  }

  /** Socket.IO's `persistSession`: the client may come back. */
  expected(sid: string): void {
    const session = this.#bySid.get(sid);
    if (!session || session.isBroken || session.isReplaced) return;
    session.isExpected = true;
    session.finalData = dataOf(session);
    if (session.finalData !== session.savedData) void this.#save(session);
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
    if (!session?.socket || session.isOver) return;
    if (!isAnswer && session.looks === 0) return;
    if (!isAnswer) session.looks--;
    if (this.#isDataChanged(session)) void this.#save(session);
  }

  /** Writes records whose `socket.data` has changed, and notes the newest entry of rooms that became silent. */
  sweep(): void {
    const silent = this.#silent();
    let noted = 0;
    for (const session of this.#bySid.values()) {
      if (!session.socket || session.isBroken) continue;
      let isChanged = this.#isDataChanged(session);
      if (silent.size > 0 && noted < SILENT_AT_ONCE && this.#note(session, silent)) {
        noted++;
        isChanged = true;
      }
      if (isChanged) void this.#save(session);
    }
  }

  #add(session: Session): void {
    this.#bySid.set(session.sid, session);
    this.#byPid.set(session.pid, session);
    this.#context.counters.sessions++;
    session.outbox.onChange = (isHolding) => {
      this.#holding += isHolding ? 1 : -1;
    };
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
    const { pid } = socket as unknown as { readonly pid?: unknown };
    // Clients of older protocols have no session.
    if (!isId(pid) || !isId(socket.id)) return undefined;
    const session = new Session(socket.id, pid);
    this.#add(session);
    session.socket = socket;
    session.outbox.hold();
    session.outbox.put(0, () => this.#host.sendEvent(socket, [PLACE_EVENT, START]));
    this.#join(session, [null, ...this.#host.roomsOf(socket.id)]);
    this.#watch(session, socket);
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
      else this.#release(session);
      write();
      if (!session.isOver && this.#isDataChanged(session)) void this.#save(session);
    });
    if (session.isBroken) return session;
    this.#host.hadCopies(socket, session.had);
    session.outbox.hold();
    for (const packets of portionsOf(kept)) {
      const bytes = packets.reduce((sum, { packet }) => sum + packet.text.length, 0);
      session.outbox.put(bytes, () => this.#host.sendAll(socket, packets), packets.length);
    }
    this.#join(session, this.#host.roomsOf(socket.id));
    this.#watch(session, socket);
    return session;
  }

  /** What the client did may have changed `socket.data`: looked at once its listeners have run. */
  #watch(session: Session, socket: Socket): void {
    let isDue = false;
    socket.onAny(() => {
      session.looks = LOOKS;
      if (isDue) return;
      isDue = true;
      setImmediate(() => {
        isDue = false;
        if (!session.isOver && this.#isDataChanged(session)) void this.#save(session);
      });
    });
  }

  #join(session: Session, rooms: Iterable<Room | null>): void {
    for (const room of rooms) {
      if (session.rooms.has(room) || isLocal(room)) continue;
      const channel = this.#host.channelOf(room);
      const followed = this.#host.followed(channel);
      if (!followed) continue;
      if (followed.ready) this.#joinLater(session, room, channel, followed, followed.ready);
      else {
        session.outbox.hold();
        const { epoch } = followed.last;
        session.joined({ room, epoch, join: markOf(followed.last, this.#context.hub.seq) });
      }
    }
  }

  /** Nothing comes from a room that is not followed yet, so only what comes from it has to wait for the record. */
  #joinLater(
    session: Session,
    room: Room | null,
    channel: string,
    followed: HostRoom,
    ready: Promise<void>,
  ): void {
    const waiting = this.#unready.get(channel) ?? new Set();
    this.#unready.set(channel, waiting.add(session));
    void ready.then(() => {
      const isWaiting = waiting.delete(session);
      if (waiting.size === 0 && this.#unready.get(channel) === waiting) this.#unready.delete(channel);
      if (!isWaiting || session.isOver || !followed.began) return;
      session.outbox.hold();
      const { began } = followed;
      session.joined({ room, epoch: began.epoch, join: markOf(began, this.#context.hub.seq) });
      void this.#save(session);
    });
  }

  #saved(session: Session | undefined): Promise<void> | undefined {
    return session?.socket && session.changes !== session.written ? this.#save(session) : undefined;
  }

  async #save(session: Session): Promise<void> {
    if (session.isBroken) return;
    let changes = 0;
    const write = await this.#context.store.write(session.pid, () => {
      changes = session.changes;
      return this.#encode(session);
    });
    if (session.isOver || session.isBroken) return;
    session.written = Math.max(session.written, changes);
    if (write === "refused") {
      this.#context.counters.sessionsLost++;
      this.#replace(session);
      return;
    }
    if (write !== "stored") this.#unrecoverable(session, write);
    // What changed meanwhile has a write of its own to wait for.
    this.#release(session);
  }

  #encode(session: Session): Uint8Array | undefined {
    const data = session.finalData ?? dataOf(session);
    session.savedData = data;
    if (data === undefined) return undefined;
    return encodeSessionRecord(session.record(this.#host.namespace), data);
  }

  /** Hands out all that waits for a socket that is about to be disconnected: nobody goes on with its session. */
  flush(socket: Socket): void {
    const session = this.#bySid.get(socket.id);
    if (session?.socket === socket) session.outbox.flush();
  }

  #release(session: Session): void {
    const isStored = () => !session.isOver && session.written === session.changes;
    if (session.socket && isStored()) session.outbox.release(session.socket, isStored);
  }

  #isDataChanged(session: Session): boolean {
    return dataOf(session) !== session.savedData;
  }

  #unrecoverable(session: Session, reason: Exclude<SessionWrite, "stored" | "refused">): void {
    this.#context.counters.sessionsUnrecoverable++;
    const { namespace } = this.#host;
    this.#context.onEvent({ type: "session-unrecoverable", namespace, socket: session.sid, reason });
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

  #silent(): Map<string, { offset: number; tag: string; seq: number }> {
    const before = performance.now() - SILENT_MS;
    return new Map([...this.#newest].filter(([, { at }]) => at < before));
  }

  #note(
    session: Session,
    silent: ReadonlyMap<string, { offset: number; tag: string; seq: number }>,
  ): boolean {
    let isChanged = false;
    for (const [name, room] of session.rooms) {
      const newest = silent.get(this.#host.channelOf(name));
      if (!newest || newest.offset <= Math.max(room.join.offset, room.seen?.offset ?? 0)) continue;
      const { offset, tag, seq } = newest;
      session.saw(name, { offset, tag, seq });
      isChanged = true;
    }
    return isChanged;
  }
}

function settle({ onSettled }: Session): void {
  for (const resolve of onSettled.splice(0)) resolve();
}

/** Undefined where JSON can't hold it. */
function dataOf({ socket, data }: Session): string | undefined {
  try {
    return JSON.stringify(socket ? socket.data : data) ?? "null";
  } catch {
    return undefined;
  }
}

function isLocal(room: Room | null): boolean {
  return typeof room === "string" && room.startsWith(LOCAL_ROOM_PREFIX);
}
