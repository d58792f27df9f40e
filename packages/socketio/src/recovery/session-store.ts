import { type Broker, BrokerError, LeaseOwner } from "@holdfast/broker";
import { CallBatches } from "./call-batches.ts";
import { decodeSessionRecord, isId, type SessionRecord } from "./session-record.ts";

export interface SessionStoreOptions {
  /** This node's name, for people. */
  readonly name: string;
  /** How long a record outlives its node, and the socket that it is of, in milliseconds. */
  readonly lingerMs: number;
  /** Another node took the session over. */
  readonly onLost: (pid: string) => void;
  /** A record could not be written for now; it is tried again until it is written or forgotten. */
  readonly onError: (error: unknown) => void;
}

/** A session that can be taken over. */
export interface FoundSession {
  readonly record: SessionRecord;
  /** Its bytes. */
  readonly value: Uint8Array;
  readonly version: number;
}

/**
 * - `stored`: the broker has the record, as it was when the write was asked for or newer.
 * - `unwritable`: its record is larger than a lease's value, `socket.data` is nothing for JSON, or the broker was closed.
 * - `full`: the broker has no room for it.
 * - `refused`: another node has the session, or it is over.
 *
 * But for `stored` nobody can recover the session: its record is gone, or another node's.
 */
export type SessionWrite = "stored" | "unwritable" | "full" | "refused";

interface Writing {
  make: () => Uint8Array | undefined;
  /** The record is made, or about to be written again. */
  isBegun: boolean;
  /** Waits for this one. */
  next: Writing | undefined;
  readonly ended: AbortController;
  readonly done: PromiseWithResolvers<SessionWrite>;
}

const GROUP = "holdfast:session:";
const KEY = "record";
/** How long closing waits for writes. */
const CLOSE_MS = 2_000;
const FULL = new Set(["LEASE_LIMIT", "BROKER_FULL"]);
const RETRY_MS = [100, 2_000] as const;

/**
 * The records of the sessions on this node, as leases: they outlive the node by their linger, and one node at a time
 * owns each. Writes of one session in one turn of the event loop are one, and never two of them are under way.
 */
export class SessionStore {
  readonly #broker: Broker;
  readonly #owner: LeaseOwner;
  readonly #options: SessionStoreOptions;
  readonly #writing = new Map<string, Writing>();
  readonly #ending = new Map<string, NodeJS.Timeout>();
  readonly #calls = new CallBatches();

  constructor(broker: Broker, options: SessionStoreOptions) {
    this.#broker = broker;
    this.#options = options;
    this.#owner = new LeaseOwner(broker, {
      name: options.name,
      onLost: ({ group }) => {
        const pid = group.slice(GROUP.length);
        this.#forget(pid);
        options.onLost(pid);
      },
    });
  }

  /**
   * Writes a session's record, again and again until the broker has it or it is no longer this node's. The first write
   * of a session, and those after it; a session of another node is taken over with `take` alone.
   *
   * @param make called when the record is about to be written; undefined where there is none to write
   */
  write(pid: string, make: () => Uint8Array | undefined): Promise<SessionWrite> {
    this.#keep(pid);
    const first = this.#writing.get(pid);
    const waiting = first?.isBegun ? first.next : first;
    if (waiting) {
      waiting.make = make;
      return waiting.done.promise;
    }
    const ended = first?.ended ?? new AbortController();
    const writing: Writing = { make, isBegun: false, next: undefined, ended, done: Promise.withResolvers() };
    if (first) first.next = writing;
    else void this.#run(pid, writing);
    return writing.done.promise;
  }

  /** Reads a session of any node. Rejects as `LeaseTable.list` does. */
  async find(pid: string): Promise<FoundSession | undefined> {
    if (!isId(pid)) return undefined;
    // This node's own writes of it come first.
    for (let own = this.#writing.get(pid); own; own = this.#writing.get(pid)) await own.done.promise;
    const leases = await this.#calls.run(() => this.#broker.leases.list(GROUP + pid));
    const lease = leases.find(({ key }) => key === KEY);
    const record = lease && decodeSessionRecord(lease.value);
    return lease && record?.pid === pid ? { record, value: lease.value, version: lease.version } : undefined;
  }

  /**
   * Makes a session this node's, unless somebody wrote it since it was found. The node that had it is told.
   * Rejects as `LeaseTable.put` does.
   */
  async take(pid: string, { version, value }: FoundSession): Promise<boolean> {
    const { lingerMs } = this.#options;
    const put = await this.#calls.run(() =>
      this.#owner.put(GROUP + pid, KEY, value, { lingerMs, expect: version }),
    );
    return put.type === "put";
  }

  /** The session's socket is gone: the record is removed when nobody came back for it in time. */
  end(pid: string): void {
    this.#keep(pid);
    const timer = setTimeout(() => this.remove(pid), this.#options.lingerMs);
    timer.unref();
    this.#ending.set(pid, timer);
  }

  /** Nobody can go on with this session from now on. */
  remove(pid: string): void {
    this.#forget(pid);
    // A lease whose removal failed is removed by the owner's next renewal.
    this.#owner.remove(GROUP + pid, KEY).catch(() => undefined);
  }

  /** Writes what is still to be written, as far as that is soon done. The records live on for their linger. */
  async close(): Promise<void> {
    for (const pid of [...this.#ending.keys()]) this.#keep(pid);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    await Promise.race([Promise.all(Array.from(this.#writing.values(), ({ done }) => done.promise)), late]);
    clearTimeout(timer);
    for (const pid of this.#writing.keys()) this.#forget(pid);
    await this.#owner.close();
  }

  async #run(pid: string, writing: Writing): Promise<void> {
    this.#writing.set(pid, writing);
    // What the rest of this turn of the event loop changes is in the same write.
    await new Promise<void>((resolve) => setImmediate(resolve));
    writing.isBegun = true;
    const outcome = await this.#put(pid, writing);
    if (this.#writing.get(pid) === writing) this.#writing.delete(pid);
    if (writing.next) void this.#run(pid, writing.next);
    writing.done.resolve(outcome);
  }

  async #put(pid: string, writing: Writing): Promise<SessionWrite> {
    const { lingerMs, onError } = this.#options;
    for (let attempt = 0; ; attempt++) {
      if (writing.ended.signal.aborted) return "refused";
      const value = writing.make();
      if (!value) return this.#giveUp(pid, "unwritable");
      try {
        const isStored = await this.#calls.run(async () => {
          if (writing.ended.signal.aborted) return false;
          const put = await this.#owner.put(GROUP + pid, KEY, value, { lingerMs });
          return put.type === "put";
        });
        return isStored && !writing.ended.signal.aborted ? "stored" : "refused";
      } catch (error) {
        if (writing.ended.signal.aborted) return "refused";
        onError(error);
        if (error instanceof BrokerError && FULL.has(error.code)) return this.#giveUp(pid, "full");
        if (error instanceof BrokerError && !error.retryable) return this.#giveUp(pid, "unwritable");
        await pause(Math.min(RETRY_MS[0] * 2 ** attempt, RETRY_MS[1]), writing.ended.signal);
      }
    }
  }

  /** What the broker has of it would be older than what the socket was given. */
  async #giveUp(pid: string, outcome: SessionWrite): Promise<SessionWrite> {
    await this.#owner.remove(GROUP + pid, KEY).catch(this.#options.onError);
    return outcome;
  }

  #forget(pid: string): void {
    this.#keep(pid);
    this.#writing.get(pid)?.ended.abort();
  }

  #keep(pid: string): void {
    clearTimeout(this.#ending.get(pid));
    this.#ending.delete(pid);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
