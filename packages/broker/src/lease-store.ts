import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BrokerError } from "./errors.ts";
import type { Lease, LeaseEvent, LeasePut, LeaseWrite } from "./lease-table.ts";

/** A change of a group, to be told once it is committed. */
export interface LeaseChange {
  readonly group: string;
  readonly event: Exclude<LeaseEvent, { readonly type: "leases" }>;
}

interface Owner {
  readonly id: number;
  readonly name: string;
  ttlMs: number;
  /** When its time is over. */
  deadline: number;
  /** It was released: only a new write begins its life again. */
  ended: boolean;
  /** When the sweep looks at it next. */
  due: number;
  leases: number;
}

/** What all values and keys of a group may take, so that listing it is never a flood. */
const GROUP_BYTES = 8 * 1024 * 1024;
/** What a lease takes beside its value, about. */
const LEASE_BYTES = 256;
const TOMB_MS = 3_600_000;
const SWEEP_LEASES = 1000;

/**
 * The leases in SQLite. What changes something is called inside a transaction of the log store, which then calls `save`,
 * or `undo` where it failed. Owners' deadlines are in memory only: renewing is not worth a commit.
 */
export class LeaseStore {
  readonly #statements: ReturnType<typeof prepare>;
  readonly #maxLeases: number;
  readonly #owners = new Map<string, Owner>();
  readonly #groups = new Map<string, { count: number; bytes: number }>();
  #changes: LeaseChange[] = [];
  /** The transaction under way has changed what is in memory. */
  #dirty = false;
  #version = 0;
  #savedVersion = 0;
  #count = 0;

  /** After a restart every owner has its whole time to live again: none could renew meanwhile. */
  constructor(database: DatabaseSync, maxLeases: number, now: number) {
    this.#statements = prepare(database);
    this.#maxLeases = maxLeases;
    this.#load(now);
  }

  /** What the transaction that was committed has changed. */
  takeChanges(): LeaseChange[] {
    const changes = this.#changes;
    this.#changes = [];
    this.#dirty = false;
    return changes;
  }

  /** Whether something of this owner is over, so that `renew` has to be called inside a transaction. */
  isLate(name: string, now: number): boolean {
    const owner = this.#owners.get(name);
    return owner !== undefined && owner.due <= now;
  }

  renew(name: string, ttlMs: number, now: number): number {
    const owner = this.#upToNow(name, now);
    if (!owner || owner.ended) return 0;
    [owner.ttlMs, owner.deadline, owner.due] = [ttlMs, now + ttlMs, now + ttlMs];
    return owner.leases;
  }

  /** @throws BrokerError `LEASE_LIMIT` */
  put(write: LeaseWrite, now: number): LeasePut {
    const { group, key, when } = write;
    const found = this.#find(group, key, now);
    const mine = found?.owner === write.owner;
    if (when.type === "restore" && found && mine) return { type: "put", version: found.version };
    if (!this.#holds(write, found)) return { type: "refused", lease: found && leaseOf(found) };
    const bytes = write.value.length - (found ? found.value.length : -LEASE_BYTES);
    this.#makeRoom(group, bytes, found === undefined);
    const owner = this.#live(write.owner, write.ttlMs, now);
    const before = found && this.#owners.get(found.owner);
    if (before) before.leases--;
    owner.leases++;
    const version = ++this.#version;
    const moved = found?.moved === true || (found !== undefined && !mine);
    this.#statements.put.run(group, key, owner.id, version, write.lingerMs, moved ? 1 : 0, write.value);
    const lease = { group, key, owner: write.owner, version, value: write.value };
    this.#changes.push({ group, event: { type: "put", lease } });
    return { type: "put", version, ...(found && !mine && { takenFrom: found.owner }) };
  }

  remove(ownerName: string, group: string, key: string, now: number): boolean {
    const found = this.#find(group, key, now);
    if (found?.owner !== ownerName) return false;
    this.#drop(found, "removed", now);
    return true;
  }

  release(name: string, now: number): void {
    const owner = this.#upToNow(name, now);
    if (!owner || owner.ended) return;
    this.#dirty = true;
    [owner.ended, owner.deadline] = [true, now];
    this.#statements.endOwner.run(now, owner.id);
    while (this.#sweepOwner(owner, now, "removed"));
  }

  list(group: string, now: number): Lease[] {
    return this.#statements.list
      .all(group)
      .map(rowOf)
      .filter((row) => this.#isAlive(row, now))
      .map(leaseOf);
  }

  /** Drops a batch of what is past its time. @returns whether more is waiting. */
  sweep(now: number): boolean {
    this.#statements.dropTombs.run(now);
    let more = false;
    for (const owner of [...this.#owners.values()])
      if (owner.due <= now) more = this.#sweepOwner(owner, now) || more;
    return more;
  }

  /** Whether a sweep has anything to do. */
  isDue(now: number): boolean {
    for (const { due } of this.#owners.values()) if (due <= now) return true;
    return false;
  }

  /** Drops what is past its time of one owner, a batch of it. @returns whether more is waiting. */
  #sweepOwner(owner: Owner, now: number, how: "expired" | "removed" = "expired"): boolean {
    const over = now - owner.deadline;
    if (over >= 0) {
      const rows = this.#statements.over.all(owner.id, over, SWEEP_LEASES).map(rowOf);
      for (const row of rows) this.#drop(row, how, now);
      if (rows.length === SWEEP_LEASES) return true;
    }
    const least = this.#statements.leastLinger.get(owner.id)?.least;
    owner.due = owner.deadline + (typeof least === "number" ? least : 0);
    if (over >= 0 && owner.leases === 0) {
      this.#dirty = true;
      this.#statements.dropOwner.run(owner.id);
      this.#owners.delete(owner.name);
    }
    return false;
  }

  /** An owner, after what is past its time went. */
  #upToNow(name: string, now: number): Owner | undefined {
    const owner = this.#owners.get(name);
    if (owner && owner.due <= now) while (this.#sweepOwner(owner, now));
    return this.#owners.get(name);
  }

  save(): void {
    if (this.#version !== this.#savedVersion) this.#statements.setVersion.run(this.#version);
    this.#savedVersion = this.#version;
  }

  /** The transaction was undone: what is in memory is read again, except for when owners were renewed last. */
  undo(): void {
    this.#changes = [];
    if (!this.#dirty) return;
    this.#dirty = false;
    const deadlines = new Map([...this.#owners].map(([name, { deadline }]) => [name, deadline]));
    this.#load(0);
    for (const owner of this.#owners.values()) {
      if (owner.ended) continue;
      owner.deadline = deadlines.get(owner.name) ?? owner.deadline;
      owner.due = owner.deadline;
    }
  }

  #load(now: number): void {
    this.#owners.clear();
    this.#groups.clear();
    for (const { id, name, ttl_ms, ends_at, leases } of this.#statements.owners.all()) {
      const deadline = ends_at === null ? now + Number(ttl_ms) : Number(ends_at);
      const owner = { id: Number(id), name: String(name), ttlMs: Number(ttl_ms), deadline, due: deadline };
      this.#owners.set(owner.name, { ...owner, ended: ends_at !== null, leases: Number(leases) });
    }
    for (const { name, count, bytes } of this.#statements.groups.all())
      this.#groups.set(String(name), { count: Number(count), bytes: Number(bytes) });
    this.#count = [...this.#groups.values()].reduce((sum, { count }) => sum + count, 0);
    this.#version = Number(this.#statements.version.get()?.lease_version);
    this.#savedVersion = this.#version;
  }

  #holds({ owner, group, key, when }: LeaseWrite, found: LeaseRow | undefined): boolean {
    if (when.type === "expect") return (found?.version ?? 0) === when.version;
    if (found || when.version === 0) return found === undefined || found.owner === owner;
    const tomb = this.#statements.findTomb.get(group, key);
    return tomb === undefined || Number(tomb.version) <= when.version;
  }

  /** The lease at a place, unless its time is over; then it goes now. */
  #find(group: string, key: string, now: number): LeaseRow | undefined {
    const found = this.#statements.find.get(group, key);
    if (!found) return undefined;
    const row = rowOf(found);
    if (this.#isAlive(row, now)) return row;
    this.#drop(row, "expired", now);
    return undefined;
  }

  #isAlive({ owner, lingerMs }: LeaseRow, now: number): boolean {
    const found = this.#owners.get(owner);
    return found !== undefined && now < found.deadline + lingerMs;
  }

  /** A write is a sign of life, and begins an owner's life anew where it was over; but not for what went before it. */
  #live(name: string, ttlMs: number, now: number): Owner {
    this.#dirty = true;
    const found = this.#upToNow(name, now);
    const deadline = now + ttlMs;
    if (found) {
      if (found.ended) this.#statements.reviveOwner.run(ttlMs, found.id);
      [found.ended, found.ttlMs, found.deadline, found.due] = [false, ttlMs, deadline, deadline];
      return found;
    }
    const id = Number(this.#statements.addOwner.run(name, ttlMs).lastInsertRowid);
    const owner = { id, name, ttlMs, deadline, ended: false, due: deadline, leases: 0 };
    this.#owners.set(name, owner);
    return owner;
  }

  #makeRoom(group: string, bytes: number, isNew: boolean): void {
    const size = this.#groups.get(group) ?? { count: 0, bytes: 0 };
    if (isNew && this.#count >= this.#maxLeases) throw new BrokerError("LEASE_LIMIT");
    if (bytes > 0 && size.bytes + bytes > GROUP_BYTES)
      throw new BrokerError("LEASE_LIMIT", `Those of ${group} have ${GROUP_BYTES} bytes already.`);
    if (isNew) this.#count++;
    this.#groups.set(group, { count: size.count + (isNew ? 1 : 0), bytes: size.bytes + bytes });
  }

  #drop(row: LeaseRow, how: "expired" | "removed", now: number): void {
    this.#dirty = true;
    const { group, key, version, moved, id, value } = row;
    this.#statements.drop.run(id);
    if (moved) this.#statements.addTomb.run(group, key, version, now + TOMB_MS);
    this.#changes.push({ group, event: { type: how, key, version } });
    this.#count--;
    const owner = this.#owners.get(row.owner);
    if (owner) owner.leases--;
    const size = this.#groups.get(group);
    if (!size || size.count <= 1) this.#groups.delete(group);
    else this.#groups.set(group, { count: size.count - 1, bytes: size.bytes - value.length - LEASE_BYTES });
  }
}

interface LeaseRow extends Lease {
  readonly id: number;
  readonly lingerMs: number;
  readonly moved: boolean;
}

function leaseOf({ group, key, owner, version, value }: LeaseRow): Lease {
  return { group, key, owner, version, value };
}

function rowOf(row: NonNullable<ReturnType<StatementSync["get"]>>): LeaseRow {
  return {
    id: Number(row.id),
    group: String(row.group_name),
    key: String(row.key),
    owner: String(row.owner),
    version: Number(row.version),
    lingerMs: Number(row.linger_ms),
    moved: row.moved === 1,
    value: row.value instanceof Uint8Array ? row.value : new Uint8Array(),
  };
}

function prepare(database: DatabaseSync) {
  const sql = (text: string) => database.prepare(text);
  const leases =
    "SELECT leases.*, lease_owners.name AS owner FROM leases JOIN lease_owners ON lease_owners.id = owner_id";
  return {
    version: sql("SELECT lease_version FROM meta"),
    setVersion: sql("UPDATE meta SET lease_version = ?"),
    owners: sql(
      "SELECT *, (SELECT count(*) FROM leases WHERE owner_id = lease_owners.id) AS leases FROM lease_owners",
    ),
    addOwner: sql("INSERT INTO lease_owners (name, ttl_ms) VALUES (?, ?)"),
    reviveOwner: sql("UPDATE lease_owners SET ends_at = NULL, ttl_ms = ? WHERE id = ?"),
    endOwner: sql("UPDATE lease_owners SET ends_at = ? WHERE id = ?"),
    dropOwner: sql("DELETE FROM lease_owners WHERE id = ?"),
    leastLinger: sql("SELECT min(linger_ms) AS least FROM leases WHERE owner_id = ?"),
    over: sql(`${leases} WHERE owner_id = ? AND linger_ms <= ? ORDER BY linger_ms LIMIT ?`),
    groups: sql(
      `SELECT group_name AS name, count(*) AS count, sum(length(value) + ${LEASE_BYTES}) AS bytes FROM leases GROUP BY group_name`,
    ),
    list: sql(`${leases} WHERE group_name = ? ORDER BY key`),
    find: sql(`${leases} WHERE group_name = ? AND key = ?`),
    put: sql(
      `INSERT INTO leases (group_name, key, owner_id, version, linger_ms, moved, value) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET owner_id = excluded.owner_id, version = excluded.version,
         linger_ms = excluded.linger_ms, moved = excluded.moved, value = excluded.value`,
    ),
    drop: sql("DELETE FROM leases WHERE id = ?"),
    findTomb: sql("SELECT version FROM lease_tombs WHERE group_name = ? AND key = ?"),
    addTomb: sql("INSERT OR REPLACE INTO lease_tombs VALUES (?, ?, ?, ?)"),
    dropTombs: sql("DELETE FROM lease_tombs WHERE expires <= ?"),
  };
}
