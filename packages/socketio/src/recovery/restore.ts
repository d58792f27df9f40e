import type { Position } from "@holdfast/broker";
import type { Room } from "../cluster/room-channel.ts";
import { type Missed, type MissedOptions, type Refusal, readBefore, readMissed } from "./missed.ts";
import { type Place, parsePlace } from "./place.ts";
import { eachOnce, messageIds, replayOf } from "./replay.ts";
import { Session } from "./session.ts";
import type { SessionHost } from "./session-host.ts";
import type { SessionRoom } from "./session-record.ts";
import type { SessionsContext } from "./sessions.ts";

/** What Socket.IO makes a recovered socket of. */
export interface RestoredSession {
  readonly sid: string;
  readonly pid: string;
  readonly rooms: readonly Room[];
  readonly data: unknown;
  /**
   * Always empty: Socket.IO would write them before it says that the client is connected, and a client whose connection
   * breaks between keeps them, and is given them again. They follow right after.
   */
  readonly missedPackets: readonly never[];
}

/** Why a client that came with a session starts anew. */
export type RestoreRefusal =
  | Refusal
  /** There is no such session, any more, in this namespace. */
  | "session"
  /** It was taken over by another connection meanwhile. */
  | "taken"
  /** The broker did not answer, or not in time. */
  | "broker"
  /** More came for it than is kept, or a room was reset, while it was on its way in. */
  | "broken";

interface RestoreHooks {
  /** Resolves once no socket of this node has the session. */
  leave(): Promise<void>;
  /**
   * From now on live entries of the session's rooms are kept for it.
   *
   * @returns false where another socket of this node has it
   */
  begin(session: Session): boolean;
  isCurrent(session: Session): boolean;
}

const TRIES = 5;
/** For all that a restore asks of the broker together. */
const RESTORE_MS = 30_000;
const MAX_MISSED = { maxEntries: 10_000, maxBytes: 16 * 1024 * 1024 } as const;

class Refused extends Error {
  readonly reason: RestoreRefusal;

  constructor(reason: RestoreRefusal) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * One client's way back: its session is taken over from the node that had it, its rooms are followed and what comes is
 * kept, what it missed is read up to there, and both follow on each other. All of it, or the client starts anew.
 */
export class Restore {
  readonly #host: SessionHost;
  readonly #context: SessionsContext;
  readonly #hooks: RestoreHooks;
  #session: Session | undefined;
  #isOver = false;

  constructor(host: SessionHost, context: SessionsContext, hooks: RestoreHooks) {
    this.#host = host;
    this.#context = context;
    this.#hooks = hooks;
  }

  /** Never rejects. */
  async run(pid: string, offset: string): Promise<RestoredSession | undefined> {
    const { counters, onEvent } = this.#context;
    const { promise: late, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(() => resolve("late"), RESTORE_MS);
    let error: unknown;
    try {
      const restored = await Promise.race([this.#restore(pid, offset), late]);
      if (restored !== "late") {
        counters.sessionsRecovered++;
        return restored;
      }
      error = new Refused("broker");
    } catch (failure) {
      error = failure;
    } finally {
      clearTimeout(timer);
    }
    this.#isOver = true;
    this.#drop();
    counters.sessionsRefused++;
    const reason = error instanceof Refused ? error.reason : "broker";
    const { namespace } = this.#host;
    onEvent({
      type: "session-refused",
      namespace,
      reason,
      ...(error instanceof Refused ? {} : { error }),
    });
    return undefined;
  }

  /** The rooms' channels that are followed only since this client came: all that it was given is from before. */
  readonly #fresh = new Set<string>();

  async #restore(pid: string, offset: string): Promise<RestoredSession> {
    const place = parsePlace(offset);
    if (!place) throw new Refused("place");
    await this.#hooks.leave();
    const session = await this.#take(pid);
    const rooms = [...session.rooms.keys()].filter((room) => room !== null);
    do await this.#hooks.leave();
    while (!this.#hooks.begin(session));
    this.#session = session;
    const entered = this.#host.enter(session.sid, rooms);
    for (const room of session.rooms.keys()) {
      const channel = this.#host.channelOf(room);
      if (this.#host.followed(channel)?.last.epoch === "") this.#fresh.add(channel);
    }
    await entered;
    await this.#followed(session);
    this.#check(session);

    const options = this.#readOptions(session, place);
    // What comes from here on, in the same turn of the event loop, is kept; what came before is read.
    session.kept = [];
    session.keptBytes = 0;
    const missed = await readMissed(options);
    this.#check(session);
    if (!missed.ok) throw new Refused(missed.reason);
    await this.#merge(session, missed, options);
    session.isRestored = true;
    const { sid, data } = session;
    return { sid, pid, rooms, data, missedPackets: [] };
  }

  async #take(pid: string): Promise<Session> {
    const { store } = this.#context;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const found = await store.find(pid);
      if (this.#isOver) throw new Refused("broker");
      if (found?.record.namespace !== this.#host.namespace) throw new Refused("session");
      if (await store.take(pid, found)) {
        const session = Session.from(found.record);
        if (this.#isOver) store.remove(pid);
        return session;
      }
    }
    throw new Refused("taken");
  }

  async #followed(session: Session): Promise<void> {
    for (const room of session.rooms.keys()) {
      await this.#host.followed(this.#host.channelOf(room))?.ready;
    }
  }

  #readOptions(session: Session, place: Place): MissedOptions {
    const { hub, pages } = this.#context;
    const channels = (rooms: Iterable<SessionRoom>) =>
      new Map(Array.from(rooms, (room) => [this.#host.channelOf(room.room), room]));
    const rooms = channels(session.rooms.values());
    const last = new Map<string, Position>();
    for (const channel of rooms.keys()) {
      const followed = this.#host.followed(channel);
      if (followed) last.set(channel, followed.last);
    }
    const seq = hub.inOrder ? hub.seq : 0;
    // A client that is ahead of this node may have what a page of before it came does not show.
    const mayShare = place.type === "start" || place.seq <= seq;
    return {
      read: (channel, query) => {
        const handedOut = last.get(channel);
        if (!mayShare || !handedOut || query.before || !query.backwards) return hub.read(channel, query);
        return pages.read(channel, query, handedOut);
      },
      rooms,
      left: channels(session.left),
      place,
      last,
      seq,
      fresh: this.#fresh,
      ...MAX_MISSED,
    };
  }

  async #merge(
    session: Session,
    missed: Extract<Missed, { ok: true }>,
    options: MissedOptions,
  ): Promise<void> {
    const { namespace } = this.#host;
    // A room that is followed only now was read as it is, and what others have before that may still be on its way here.
    const newest = missed.entries.at(-1)?.entry.seq ?? 0;
    const { hub } = this.#context;
    if (!(await hub.upTo(newest))) throw new Refused("epoch");
    // The client may have been given entries that come to this node only now.
    for (const [channel, offset] of missed.reached) await this.#host.reached(channel, offset);
    const packets = replayOf(missed.entries, namespace, this.#host.roomsOf(session.sid), hub.inOrder);
    const hasCopies = [...packets, ...(session.kept ?? [])].some(({ packet }) => packet.id !== undefined);
    const unread = hasCopies ? missed.unread : [];
    const before = await Promise.all(unread.map((channel) => readBefore(channel, options)));
    const had = hasCopies ? messageIds([...missed.before, ...before.flat()]) : new Set<string>();
    this.#check(session);
    const live = (session.kept ?? []).filter(
      ({ channel, offset }) => offset > (missed.reached.get(channel) ?? 0),
    );
    session.had = had;
    session.kept = eachOnce(
      [...packets, ...live].sort((a, b) => a.seq - b.seq),
      had,
    );
    this.#context.counters.replayed += packets.length;
  }

  #check(session: Session): void {
    if (this.#isOver || !this.#hooks.isCurrent(session)) throw new Refused("taken");
    if (session.isBroken) throw new Refused("broken");
  }

  #drop(): void {
    const session = this.#session;
    if (!session || !this.#hooks.isCurrent(session)) return;
    // The client forgets a session that it is refused.
    session.isBroken = true;
    this.#host.leaveAll(session.sid);
  }
}
