import { BrokerError, type Lease, type LeaseEvent, type LeaseWrite } from "@holdfast/broker";
import type { EndedLife, LeaseMessage } from "./lease-messages.ts";

/** The newest message about a place: a lease, or that there is none any more. */
export interface PlaceRecord {
  /** Of this message; the next writer names it. */
  readonly seq: number;
  readonly time: number;
  readonly group: string;
  readonly key: string;
  readonly owner: string;
  /** Of the lease; where it was removed, of the one that was. */
  readonly version: number;
  readonly moved: boolean;
  readonly lease:
    | { readonly life: number; readonly lingerMs: number; readonly value: Uint8Array }
    | undefined;
}

/** The newest message about an owner. */
export interface OwnerRecord {
  readonly name: string;
  readonly seq: number;
  readonly time: number;
  readonly life: number;
  readonly ttlMs: number;
  readonly ended: { readonly at: number; readonly how: "expired" | "released" } | undefined;
  readonly before: EndedLife | undefined;
}

/** A change of a group that followers are told of. */
export interface Change {
  readonly group: string;
  readonly event: Exclude<LeaseEvent, { readonly type: "leases" }>;
}

/** What a write comes to, as far as this table knows. */
export type Decision =
  | {
      readonly type: "write";
      readonly expected: number;
      readonly moved: boolean;
      readonly takenFrom?: string;
    }
  | { readonly type: "same"; readonly version: number }
  | { readonly type: "refused"; readonly lease: Lease | undefined };

/** What all values and keys of a group may take, so that listing it is never a flood. */
const GROUP_BYTES = 8 * 1024 * 1024;
/** What a lease takes beside its value, about. */
const LEASE_BYTES = 256;

/**
 * The table as the messages of its stream tell it. Every node has it whole, and they all come to the same, since they are given the
 * same messages in one order: a lease is alive as long as the life of its owner that it was written in.
 */
export class LeaseState {
  readonly #maxLeases: number;
  readonly #places = new Map<string, PlaceRecord>();
  readonly #owners = new Map<string, OwnerRecord>();
  readonly #ofOwner = new Map<string, Set<string>>();
  readonly #ofGroup = new Map<string, Set<string>>();
  /** The versions that followers were told of. */
  readonly #shown = new Map<string, PlaceRecord>();
  /** What those take, by group. */
  readonly #bytes = new Map<string, number>();
  /** Leases of owners that are over, which linger until a time. */
  readonly #lingering = new Map<string, number>();

  constructor(maxLeases: number) {
    this.#maxLeases = maxLeases;
  }

  owner(name: string): OwnerRecord | undefined {
    return this.#owners.get(name);
  }

  owners(): Iterable<OwnerRecord> {
    return this.#owners.values();
  }

  records(): Iterable<PlaceRecord> {
    return this.#places.values();
  }

  record(group: string, key: string): PlaceRecord | undefined {
    return this.#places.get(placeOf(group, key));
  }

  /** The lease there now. */
  find(group: string, key: string, now: number): Lease | undefined {
    const record = this.record(group, key);
    return record && this.isAlive(record, now) ? leaseOf(record) : undefined;
  }

  list(group: string, now: number): Lease[] {
    const records = [...(this.#ofGroup.get(group) ?? [])].flatMap((place) => {
      const record = this.#places.get(place);
      return record && this.isAlive(record, now) ? [record] : [];
    });
    return records.map(leaseOf).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Owners of a group's leases. */
  ownersOf(group: string): Set<string> {
    const places = [...(this.#ofGroup.get(group) ?? [])];
    return new Set(places.flatMap((place) => this.#places.get(place)?.owner ?? []));
  }

  /** How many leases an owner has in the life that it is in. */
  count(name: string, now: number): number {
    const owner = this.#owners.get(name);
    if (!owner || owner.ended) return 0;
    let count = 0;
    for (const place of this.#ofOwner.get(name) ?? []) {
      const record = this.#places.get(place);
      if (record?.lease?.life === owner.life && this.isAlive(record, now)) count++;
    }
    return count;
  }

  isAlive(record: PlaceRecord, now: number): boolean {
    const end = this.#endOf(record);
    return end === undefined || now < end;
  }

  /** @throws BrokerError `LEASE_LIMIT` */
  decide(write: LeaseWrite, now: number): Decision {
    const { owner, group, key, value, when } = write;
    const record = this.record(group, key);
    const found = record && this.isAlive(record, now) ? leaseOf(record) : undefined;
    const mine = found?.owner === owner;
    if (when.type === "restore" && found && mine) return { type: "same", version: found.version };
    if (!holds(write, found, record)) return { type: "refused", lease: found };
    this.#makeRoom(group, value.length - (found ? found.value.length : -LEASE_BYTES), !found);
    return {
      type: "write",
      expected: record?.seq ?? 0,
      moved: record !== undefined && (record.moved || record.owner !== owner),
      ...(found && !mine && { takenFrom: found.owner }),
    };
  }

  /** @param time the server's, in milliseconds. @returns what followers are to be told. */
  apply(message: LeaseMessage, seq: number, time: number, now: number): Change[] {
    switch (message.type) {
      case "mark":
        return [];
      case "owner":
      case "end":
        this.#applyOwner(message, seq, time);
        return [...(this.#ofOwner.get(message.owner) ?? [])].flatMap((place) =>
          this.#show(place, now, message.type === "end" && message.how === "released"),
        );
      default: {
        const { group, key, owner, moved } = message;
        const isLease = message.type === "lease";
        const version = isLease ? seq : message.version;
        const lease = isLease
          ? { life: message.life, lingerMs: message.lingerMs, value: message.value }
          : undefined;
        this.#set({ seq, time, group, key, owner, version, moved, lease });
        return this.#show(placeOf(group, key), now, true);
      }
    }
  }

  /** What is over by now although nobody wrote anything. */
  expire(now: number): Change[] {
    return [...this.#lingering].flatMap(([place, end]) => (end <= now ? this.#show(place, now, false) : []));
  }

  /** When the next lease that lingers is over. */
  nextEnd(): number {
    return Math.min(...this.#lingering.values());
  }

  /** Nothing is known of the place any more. */
  forget(record: PlaceRecord): void {
    const place = placeOf(record.group, record.key);
    if (this.#places.get(place) !== record) return;
    this.#unset(place, record);
    this.#setShown(place, undefined);
    this.#lingering.delete(place);
  }

  forgetOwner(record: OwnerRecord): void {
    if (this.#owners.get(record.name) === record) this.#owners.delete(record.name);
  }

  #applyOwner(
    message: Extract<LeaseMessage, { readonly type: "owner" | "end" }>,
    seq: number,
    time: number,
  ): void {
    const { owner: name, type } = message;
    const known = this.#owners.get(name);
    const ttlMs = type === "owner" ? message.ttlMs : (known?.ttlMs ?? 0);
    const life = message.life || seq;
    const before = type === "owner" ? message.before : known?.before;
    const ended =
      type === "end" ? { how: message.how, at: message.how === "released" ? time : message.at } : undefined;
    // A renewal keeps what its life was begun with, which is not repeated in it.
    const kept = before ?? (known?.life === life ? known.before : undefined);
    this.#owners.set(name, { name, seq, time, life, ttlMs, ended, before: kept });
  }

  /** When a lease is over: undefined while its owner lives. */
  #endOf({ owner: name, lease, seq }: PlaceRecord): number | undefined {
    const owner = this.#owners.get(name);
    if (!lease || !owner) return 0;
    if (owner.life === lease.life && !owner.ended) return undefined;
    // It came after its owner's end: its writer finds that, and writes it again.
    if (owner.life === lease.life && seq > owner.seq) return 0;
    const ended = owner.life === lease.life ? owner.ended : owner.before;
    if (!ended || ("life" in ended && ended.life !== lease.life)) return 0;
    return lease.lingerMs > 0 ? ended.at + lease.lingerMs : 0;
  }

  /** Compares what followers were told of a place with what is so. */
  #show(place: string, now: number, removed: boolean): Change[] {
    const record = this.#places.get(place);
    const end = record ? this.#endOf(record) : 0;
    const alive = record !== undefined && (end === undefined || now < end);
    if (alive && end !== undefined) this.#lingering.set(place, end);
    else this.#lingering.delete(place);
    const shown = this.#shown.get(place);
    if (record && alive) {
      this.#setShown(place, record);
      if (shown?.version === record.version) return [];
      return [{ group: record.group, event: { type: "put", lease: leaseOf(record) } }];
    }
    if (!shown) return [];
    this.#setShown(place, undefined);
    const { group, key, version } = shown;
    return [{ group, event: { type: removed ? "removed" : "expired", key, version } }];
  }

  #setShown(place: string, record: PlaceRecord | undefined): void {
    const before = this.#shown.get(place);
    const group = record?.group ?? before?.group;
    if (group === undefined) return;
    const bytes = (this.#bytes.get(group) ?? 0) + bytesOf(record) - bytesOf(before);
    if (bytes > 0) this.#bytes.set(group, bytes);
    else this.#bytes.delete(group);
    if (record) this.#shown.set(place, record);
    else this.#shown.delete(place);
  }

  #set(record: PlaceRecord): void {
    const place = placeOf(record.group, record.key);
    const earlier = this.#places.get(place);
    if (earlier) this.#unset(place, earlier);
    this.#places.set(place, record);
    addTo(this.#ofGroup, record.group, place);
    addTo(this.#ofOwner, record.owner, place);
  }

  #unset(place: string, record: PlaceRecord): void {
    this.#places.delete(place);
    removeFrom(this.#ofGroup, record.group, place);
    removeFrom(this.#ofOwner, record.owner, place);
  }

  #makeRoom(group: string, bytes: number, isNew: boolean): void {
    if (isNew && this.#shown.size >= this.#maxLeases) throw new BrokerError("LEASE_LIMIT");
    if (bytes > 0 && (this.#bytes.get(group) ?? 0) + bytes > GROUP_BYTES)
      throw new BrokerError("LEASE_LIMIT", `Those of ${group} have ${GROUP_BYTES} bytes already.`);
  }
}

function holds(
  { owner, when }: LeaseWrite,
  found: Lease | undefined,
  record: PlaceRecord | undefined,
): boolean {
  if (when.type === "expect") return (found?.version ?? 0) === when.version;
  if (found) return found.owner === owner;
  if (when.version === 0 || !record) return true;
  return (record.owner === owner && !record.moved) || record.version <= when.version;
}

function leaseOf({ group, key, owner, version, lease }: PlaceRecord): Lease {
  return { group, key, owner, version, value: lease?.value ?? new Uint8Array() };
}

function bytesOf(record: PlaceRecord | undefined): number {
  return record?.lease ? record.lease.value.length + LEASE_BYTES : 0;
}

/** Names hold no space. */
function placeOf(group: string, key: string): string {
  return `${group} ${key}`;
}

function addTo(index: Map<string, Set<string>>, name: string, place: string): void {
  const places = index.get(name);
  if (places) places.add(place);
  else index.set(name, new Set([place]));
}

function removeFrom(index: Map<string, Set<string>>, name: string, place: string): void {
  const places = index.get(name);
  places?.delete(place);
  if (places?.size === 0) index.delete(name);
}
