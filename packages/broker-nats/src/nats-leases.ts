import { setTimeout as pause } from "node:timers/promises";
import {
  BrokerError,
  type Lease,
  type LeaseEvent,
  type LeasePut,
  type LeaseTable,
  type LeaseWrite,
  type Subscription,
} from "@holdfast/broker";
import { checkLeasePlace, checkLeaseWrite, checkOwner, randomText } from "@holdfast/broker/engine";
import type { Connection, Ready } from "./connection.ts";
import { isConflict, refusalOf, unavailable } from "./failures.ts";
import { LeaseFeed } from "./lease-feed.ts";
import { decodeLease, encodeLease, type LeaseMessage } from "./lease-messages.ts";
import { type Change, LeaseState, type OwnerRecord, type PlaceRecord } from "./lease-state.ts";
import type { Settings } from "./options.ts";
import type { ServerClock } from "./server-clock.ts";
import type { Subjects } from "./subjects.ts";
import { storeSuccessor } from "./successor.ts";

interface Follower {
  readonly listener: (event: LeaseEvent) => void;
}

/** How often it is looked whose time is over. */
const SWEEP_MS = 50;
/** How long it is remembered who had a lease that is gone. */
const TOMB_MS = 3_600_000;
const TOMBS_AT_ONCE = 1000;
const TOMB_SWEEP_MS = 60_000;
/** How often the clock is compared with the server's while nothing else does it. */
const CLOCK_MS = 30_000;
const RETRY_MS = 50;

/**
 * The leases, in a stream of their own: a subject for each owner and each place, whose newest message is what is so. Every
 * node follows the stream and has the whole table; it decides by it, and the server takes the write only if the message that
 * was decided by is still the newest. So two writers of one place are one after the other, without a lock.
 */
export class NatsLeases implements LeaseTable {
  readonly #connection: Connection;
  readonly #subjects: Subjects;
  readonly #settings: Settings;
  readonly #clock: ServerClock;
  readonly #feed: LeaseFeed;
  readonly #followers = new Map<string, Set<Follower>>();
  #state: LeaseState;
  /** Nobody could renew before this: an owner's time counts from here at the earliest. */
  #since = 0;
  #tombsAt = 0;
  #started = false;
  #sweeping = false;
  #timers: NodeJS.Timeout[] = [];
  #closed = false;

  constructor(connection: Connection, subjects: Subjects, clock: ServerClock, settings: Settings) {
    this.#connection = connection;
    this.#subjects = subjects;
    this.#settings = settings;
    this.#clock = clock;
    this.#state = new LeaseState(settings.maxLeases);
    const host = {
      begin: () => {
        this.#state = new LeaseState(settings.maxLeases);
      },
      message: (message: LeaseMessage, seq: number, time: number) => this.#take(message, seq, time),
      current: () => this.#current(),
    };
    this.#feed = new LeaseFeed(connection, subjects, clock, host, settings.tryMs);
  }

  async renew(owner: string, ttlMs: number): Promise<number> {
    checkOwner(owner, ttlMs);
    const deadline = this.#begin();
    await this.#feed.given(0, deadline);
    for (let certain = false; ; ) {
      await this.#endIfOver(owner, deadline);
      const record = this.#state.owner(owner);
      if (record && !record.ended) {
        const message = { type: "owner", owner, ttlMs, life: record.life } as const;
        if (await this.#write(this.#subjects.leaseOwner(owner), message, record.seq, deadline))
          return this.#state.count(owner, this.#clock.now());
        await this.#reconcileOwner(owner, record, deadline);
      } else if (certain) return 0;
      else await this.#feed.barrier(deadline);
      certain = true;
    }
  }

  async put(write: LeaseWrite): Promise<LeasePut> {
    checkLeaseWrite(write);
    const own = { ...write, value: new Uint8Array(write.value) };
    const { owner, group, key, value, lingerMs } = own;
    const deadline = this.#begin();
    await this.#feed.given(0, deadline);
    for (let certain = false; ; ) {
      await this.#endIfOver(owner, deadline);
      await this.#endIfOver(this.#state.record(group, key)?.owner, deadline);
      const decision = this.#state.decide(own, this.#clock.now());
      if (decision.type !== "write") {
        if (certain) {
          if (decision.type === "same") return { type: "put", version: decision.version };
          return { type: "refused", lease: decision.lease };
        }
        await this.#feed.barrier(deadline);
        certain = true;
        continue;
      }
      const record = this.#state.owner(owner);
      if (!record || record.ended) {
        await this.#beginLife(owner, own.ttlMs, record, deadline);
        continue;
      }
      const [id, { life }, { moved, expected, takenFrom }] = [randomText(8), record, decision];
      const message = { type: "lease", id, group, key, owner, life, lingerMs, moved, value } as const;
      const seq = await this.#write(this.#subjects.lease(group, key), message, expected, deadline);
      // What is at this place now was decided by what is gone meanwhile, or by what was deleted after its time.
      if (seq === undefined) await this.#reconcile(group, key, expected, deadline);
      // Its owner's end came in between: it is written again, in a new life.
      else if (this.#isLost(group, key, seq)) continue;
      else return { type: "put", version: seq, ...(takenFrom !== undefined && { takenFrom }) };
      certain = false;
    }
  }

  async remove(owner: string, group: string, key: string): Promise<boolean> {
    checkOwner(owner);
    checkLeasePlace(group, key);
    const deadline = this.#begin();
    for (;;) {
      await this.#feed.barrier(deadline);
      await this.#endIfOver(owner, deadline);
      const lease = this.#state.find(group, key, this.#clock.now());
      const record = this.#state.record(group, key);
      if (lease?.owner !== owner || !record) return false;
      const { version, moved, seq } = record;
      const message = { type: "removed", id: randomText(8), group, key, owner, moved, version } as const;
      if (await this.#write(this.#subjects.lease(group, key), message, seq, deadline)) return true;
    }
  }

  async release(owner: string): Promise<void> {
    checkOwner(owner);
    const deadline = this.#begin();
    for (;;) {
      await this.#feed.barrier(deadline);
      await this.#endIfOver(owner, deadline);
      const record = this.#state.owner(owner);
      if (!record || record.ended || (await this.#end(record, "released", deadline))) return;
    }
  }

  async list(group: string): Promise<readonly Lease[]> {
    checkLeasePlace(group);
    await this.#upToNow(group, this.#begin());
    return this.#state.list(group, this.#clock.now());
  }

  async follow(group: string, listener: (event: LeaseEvent) => void): Promise<Subscription> {
    checkLeasePlace(group);
    await this.#upToNow(group, this.#begin());
    const follower = { listener };
    const followers = this.#followers.get(group) ?? new Set();
    this.#followers.set(group, followers.add(follower));
    this.#tell(follower, { type: "leases", leases: this.#state.list(group, this.#clock.now()) });
    return {
      close: async () => {
        followers.delete(follower);
        if (followers.size === 0 && this.#followers.get(group) === followers) this.#followers.delete(group);
      },
    };
  }

  up(ready: Ready): void {
    if (this.#started) this.#feed.up(ready);
  }

  down(): void {
    if (this.#started) this.#feed.down();
  }

  end(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#followers.clear();
    this.#feed.end();
  }

  /** The table is followed from the first call on. @returns the call's deadline. */
  #begin(): number {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED");
    if (!this.#started) {
      this.#started = true;
      const { ready } = this.#connection;
      if (ready) this.#feed.up(ready);
      const clock = () => void this.#feed.barrier(this.#deadline()).catch(() => undefined);
      this.#timers = [setInterval(() => void this.#sweep(), SWEEP_MS), setInterval(clock, CLOCK_MS)];
      for (const timer of this.#timers) timer.unref();
    }
    return this.#deadline();
  }

  async #upToNow(group: string, deadline: number): Promise<void> {
    await this.#feed.barrier(deadline);
    for (const owner of this.#state.ownersOf(group)) await this.#endIfOver(owner, deadline);
  }

  #take(message: LeaseMessage, seq: number, time: number): void {
    const changes = this.#state.apply(message, seq, time, this.#clock.now());
    if (this.#feed.isCurrent) this.#tellAll(changes);
  }

  /** The table is whole: at first, and after the connection was lost, when changes may have been missed. */
  #current(): void {
    this.#since = this.#clock.now();
    for (const [group, followers] of this.#followers) {
      const leases = this.#state.list(group, this.#since);
      for (const follower of followers) this.#tell(follower, { type: "leases", leases });
    }
  }

  /**
   * Writes a message if the one at `expected` is still the newest of its subject, and waits until it is in the table.
   *
   * @returns its place in the stream; undefined when another was newer, which is in the table then.
   */
  async #write(
    subject: string,
    message: LeaseMessage,
    expected: number,
    deadline: number,
  ): Promise<number | undefined> {
    const bytes = encodeLease(message);
    const place = { stream: this.#subjects.leaseStream, subject, mark: this.#subjects.leaseOrder };
    for (let doubtful = false; ; doubtful = true) {
      try {
        const { seq, duplicate } = await this.#connection.once(deadline, (ready) =>
          storeSuccessor(ready, place, bytes, expected),
        );
        if (duplicate) {
          await this.#feed.barrier(deadline);
          return this.#ownWrite(subject, bytes, deadline);
        }
        await this.#feed.given(seq, deadline);
        return seq;
      } catch (error) {
        if (isConflict(error)) {
          await this.#feed.barrier(deadline);
          return doubtful ? this.#ownWrite(subject, bytes, deadline) : undefined;
        }
        const refusal = refusalOf(error);
        if (refusal) throw refusal;
        if (performance.now() + RETRY_MS >= deadline) throw unavailable(error);
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
  }

  /** An answer was lost, and now another message is newer: it may be the very one. */
  async #ownWrite(subject: string, bytes: Uint8Array, deadline: number): Promise<number | undefined> {
    const newest = await this.#newest(subject, deadline);
    return newest && Buffer.compare(newest.data, bytes) === 0 ? newest.seq : undefined;
  }

  #newest(subject: string, deadline: number) {
    return this.#connection.call(deadline, ({ manager }) =>
      manager.streams.getMessage(this.#subjects.leaseStream, { last_by_subj: subject }),
    );
  }

  /**
   * A write was refused, and the table knows of nothing newer at its place. It was deleted there, or here, after its time; or what gives
   * the stream to this node counts its messages otherwise than the leader: after faults the servers of a cluster may (nats-server before
   * 2.11). The leader decides on writes, so what it says goes.
   */
  async #reconcile(group: string, key: string, expected: number, deadline: number): Promise<void> {
    const record = this.#state.record(group, key);
    if ((record?.seq ?? 0) !== expected) return;
    const isThere = await this.#takeNewest(this.#subjects.lease(group, key), deadline);
    if (!isThere && record) this.#state.forget(record);
  }

  /** The same of an owner. */
  async #reconcileOwner(name: string, record: OwnerRecord | undefined, deadline: number): Promise<void> {
    if (this.#state.owner(name) !== record) return;
    const isThere = await this.#takeNewest(this.#subjects.leaseOwner(name), deadline);
    if (!isThere && record) this.#state.forgetOwner(record);
  }

  /** @returns whether the leader has a message there */
  async #takeNewest(subject: string, deadline: number): Promise<boolean> {
    await pause(RETRY_MS, undefined, { ref: false });
    const newest = await this.#newest(subject, deadline);
    const message = newest && decodeLease(newest.data);
    if (!newest || !message) return false;
    this.#take(message, newest.seq, newest.time.getTime());
    return true;
  }

  #isLost(group: string, key: string, seq: number): boolean {
    const record = this.#state.record(group, key);
    return record?.seq === seq && !this.#state.isAlive(record, this.#clock.now());
  }

  async #beginLife(
    owner: string,
    ttlMs: number,
    record: OwnerRecord | undefined,
    deadline: number,
  ): Promise<void> {
    const before = record?.ended && { life: record.life, at: record.ended.at };
    const message = { type: "owner", owner, ttlMs, life: 0, ...(before && { before }) } as const;
    const subject = this.#subjects.leaseOwner(owner);
    const seq = await this.#write(subject, message, record?.seq ?? 0, deadline);
    if (seq === undefined) await this.#reconcileOwner(owner, record, deadline);
  }

  /** Ends an owner whose time is over. A renewal that came first makes it live on. */
  async #endIfOver(owner: string | undefined, deadline: number): Promise<void> {
    for (;;) {
      const record = owner === undefined ? undefined : this.#state.owner(owner);
      if (!record || !this.#isOver(record)) return;
      await this.#end(record, "expired", deadline);
    }
  }

  #isOver(record: OwnerRecord): boolean {
    return !record.ended && this.#clock.now() >= this.#overAt(record);
  }

  #overAt({ time, ttlMs }: OwnerRecord): number {
    return Math.max(time, this.#since) + ttlMs;
  }

  async #end(record: OwnerRecord, how: "expired" | "released", deadline: number): Promise<boolean> {
    const { name: owner, life, seq } = record;
    const message = { type: "end", owner, life, how, at: this.#overAt(record) } as const;
    const written = await this.#write(this.#subjects.leaseOwner(owner), message, seq, deadline);
    if (written === undefined) await this.#reconcileOwner(owner, record, deadline);
    return written !== undefined;
  }

  /** Ends whose time is over, tells of leases that no longer linger, and deletes what nobody need remember. */
  async #sweep(): Promise<void> {
    if (this.#sweeping || !this.#feed.isCurrent) return;
    this.#sweeping = true;
    try {
      const now = this.#clock.now();
      if (this.#state.nextEnd() <= now) this.#tellAll(this.#state.expire(now));
      for (const record of this.#state.owners())
        if (this.#isOver(record)) await this.#end(record, "expired", this.#deadline());
      if (now < this.#tombsAt) return;
      this.#tombsAt = now + TOMB_SWEEP_MS;
      await this.#deleteTombs(now);
    } catch {
      // The broker's state says that it can't be written, and the next sweep tries again.
    } finally {
      this.#sweeping = false;
    }
  }

  async #deleteTombs(now: number): Promise<void> {
    let count = 0;
    for (const record of this.#state.records()) {
      if (record.time > now - TOMB_MS || !this.#isTomb(record, now)) continue;
      await this.#purge(this.#subjects.lease(record.group, record.key), record.seq);
      this.#state.forget(record);
      if (++count === TOMBS_AT_ONCE) return;
    }
    for (const record of this.#state.owners()) {
      if (!record.ended || record.time > now - 25 * TOMB_MS) continue;
      await this.#purge(this.#subjects.leaseOwner(record.name), record.seq);
      this.#state.forgetOwner(record);
      if (++count === TOMBS_AT_ONCE) return;
    }
  }

  #isTomb(record: PlaceRecord, now: number): boolean {
    return !this.#state.isAlive(record, now) && !this.#state.isAlive(record, now - TOMB_MS);
  }

  /** A message that came after it stays. */
  async #purge(subject: string, seq: number): Promise<void> {
    await this.#connection.call(this.#deadline(), ({ manager }) =>
      manager.streams.purge(this.#subjects.leaseStream, { filter: subject, seq: seq + 1 }),
    );
  }

  #deadline(): number {
    return performance.now() + this.#settings.requestMs;
  }

  #tellAll(changes: readonly Change[]): void {
    for (const { group, event } of changes)
      for (const follower of this.#followers.get(group) ?? []) this.#tell(follower, event);
  }

  #tell({ listener }: Follower, event: LeaseEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.#settings.onListenerError(error);
    }
  }
}
