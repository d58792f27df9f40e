import { BrokerError } from "./errors.ts";
import type { Lease, LeasePut } from "./lease-table.ts";
import { checkLeasePlace, checkLeaseWrite, checkOwner } from "./limits.ts";
import type { Broker, Subscription } from "./port.ts";
import { randomText } from "./random-text.ts";

export interface LeaseOwnerOptions {
  /** Whose leases these are, for people: 1 to 100 characters, as a channel's name. */
  readonly name: string;
  /** How long the owner's leases outlive its last sign of life. It renews three times as often. Default 15 s. */
  readonly ttlMs?: number;
  /**
   * Another owner took this lease, or it was over and could not be put back; `lease` is what is there now. It can no
   * longer be written without `expect`.
   */
  readonly onLost?: (
    place: { readonly group: string; readonly key: string },
    lease: Lease | undefined,
  ) => void;
}

export interface LeaseOptions {
  /** How long this lease outlives its owner, in milliseconds. Default 0. */
  readonly lingerMs?: number;
  /**
   * Write only if the lease there, whoever owns it, has this version; 0: if there is none. Takes it over.
   * Absent: if there is none, or it is this owner's.
   */
  readonly expect?: number;
}

interface Held {
  readonly group: string;
  readonly key: string;
  readonly value: Uint8Array;
  readonly lingerMs: number;
  readonly version: number;
}

const TTL_MS = 15_000;
const RESTORE_AT_ONCE = 256;
/** Places that one message to an owner names. */
const PLACES_AT_ONCE = 256;
/** Where an owner is told at once that a lease was taken; without it, its next renewal shows it. */
const NEWS = "holdfast:owner:";

/**
 * One owner's leases in a broker, kept alive until closed: renewed together, put back when the owner was only slow or
 * the broker lost them, and the owner is told which it lost to others. Whatever is written by a call that was rejected,
 * so that nobody knows whether it was done, is undone by the next renewal.
 *
 * The owner's `id` is its name and a random part, so a process that is started again under its name is another owner.
 */
export class LeaseOwner {
  readonly id: string;
  readonly #broker: Broker;
  readonly #ttlMs: number;
  readonly #onLost: NonNullable<LeaseOwnerOptions["onLost"]>;
  readonly #held = new Map<string, Held>();
  /** Places that were written by a call whose outcome is not known. */
  readonly #doubtful = new Map<string, { readonly group: string; readonly key: string }>();
  readonly #timer: NodeJS.Timeout;
  readonly #unwatch: () => void;
  /** Places that were taken from other owners, which are about to be told. */
  readonly #taken = new Map<string, string[]>();
  #news: Promise<Subscription | undefined> | undefined;
  /** Calls under way, and how many were begun: a renewal's count means something only when neither changed. */
  #pending = 0;
  #begun = 0;
  #renewing: Promise<void> | undefined;
  #closed = false;

  /** @throws BrokerError `LEASE_INVALID` */
  constructor(broker: Broker, options: LeaseOwnerOptions) {
    const { name, ttlMs = TTL_MS, onLost = () => undefined } = options;
    this.id = `${name}.${randomText(12)}`;
    checkOwner(name, ttlMs);
    checkOwner(this.id);
    this.#broker = broker;
    this.#ttlMs = ttlMs;
    this.#onLost = onLost;
    this.#timer = setInterval(() => void this.renew(), Math.max(1, Math.floor(ttlMs / 3)));
    this.#timer.unref();
    this.#unwatch = broker.watch(({ type }) => {
      if (type === "available" && this.#held.size + this.#doubtful.size > 0) void this.renew();
    });
  }

  /** Leases that it has, as far as it knows. */
  get size(): number {
    return this.#held.size;
  }

  /** @throws BrokerError as `LeaseTable.put` does; then it is not known whether it was written, until the next renewal. */
  async put(group: string, key: string, value: Uint8Array, options: LeaseOptions = {}): Promise<LeasePut> {
    const { lingerMs = 0, expect } = options;
    const place = placeOf(group, key);
    const own = new Uint8Array(value);
    const when = () =>
      expect === undefined
        ? ({ type: "own", version: this.#held.get(place)?.version ?? 0 } as const)
        : ({ type: "expect", version: expect } as const);
    const write = () => ({
      owner: this.id,
      ttlMs: this.#ttlMs,
      group,
      key,
      value: own,
      lingerMs,
      when: when(),
    });
    checkLeaseWrite(write());
    await this.#listen();
    const put = await this.#change(group, key, () => this.#broker.leases.put(write()));
    if (put.type === "put") {
      this.#hold({ group, key, value: own, lingerMs, version: put.version });
      if (put.takenFrom !== undefined) this.#tell(put.takenFrom, { group, key });
    } else if (put.lease?.owner !== this.id) this.#held.delete(place);
    return put;
  }

  /** @returns whether it had the lease. */
  async remove(group: string, key: string): Promise<boolean> {
    checkLeasePlace(group, key);
    this.#held.delete(placeOf(group, key));
    return this.#change(group, key, () => this.#broker.leases.remove(this.id, group, key));
  }

  /** Renews now, beside the times when it is due; and heals what it finds amiss. Never rejects. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew()
      // The next one is due soon, and the broker's own state says what is wrong.
      .catch(() => undefined)
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  /** Gives up its leases: those that linger live on for their `lingerMs`, the others are gone. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#unwatch();
    this.#held.clear();
    this.#doubtful.clear();
    await this.#news?.then((subscription) => subscription?.close());
    await this.#renewing;
    try {
      await this.#broker.leases.release(this.id);
    } catch {
      // They are over when their time is.
    }
  }

  async #renew(): Promise<void> {
    if (this.#closed) return;
    const [begun, idle] = [this.#begun, this.#pending === 0];
    const count = await this.#broker.leases.renew(this.id, this.#ttlMs);
    await this.#undoDoubtful();
    if (!idle || begun !== this.#begun || count === this.#held.size) return;
    const held = [...this.#held.values()];
    for (let from = 0; from < held.length; from += RESTORE_AT_ONCE)
      await Promise.all(held.slice(from, from + RESTORE_AT_ONCE).map((one) => this.#restore(one)));
  }

  async #undoDoubtful(): Promise<void> {
    for (const [place, { group, key }] of [...this.#doubtful]) {
      if (this.#closed) return;
      const held = this.#held.get(place);
      if (held) await this.put(group, key, held.value, { lingerMs: held.lingerMs });
      else await this.#broker.leases.remove(this.id, group, key);
      this.#doubtful.delete(place);
    }
  }

  async #restore(held: Held): Promise<void> {
    const { group, key, value, lingerMs, version } = held;
    const isCurrent = () => !this.#closed && this.#held.get(placeOf(group, key)) === held;
    if (!isCurrent()) return;
    const when = { type: "restore", version } as const;
    const write = { owner: this.id, ttlMs: this.#ttlMs, group, key, value, lingerMs, when };
    const put = await this.#broker.leases.put(write);
    if (!isCurrent()) return;
    if (put.type === "put") this.#hold({ ...held, version: put.version });
    else {
      this.#held.delete(placeOf(group, key));
      this.#onLost({ group, key }, put.lease);
    }
  }

  async #change<T>(group: string, key: string, call: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new BrokerError("BROKER_CLOSED", "This owner is.");
    this.#begun++;
    this.#pending++;
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code === "BROKER_UNAVAILABLE")
        this.#doubtful.set(placeOf(group, key), { group, key });
      throw error;
    } finally {
      this.#pending--;
    }
  }

  #hold(held: Held): void {
    if (this.#closed) return;
    const place = placeOf(held.group, held.key);
    if ((this.#held.get(place)?.version ?? 0) <= held.version) this.#held.set(place, held);
  }

  /** Before it has a lease: so it hears at once of one that is taken, the first one too. Never rejects. */
  #listen(): Promise<unknown> | undefined {
    if (this.#closed || this.#broker.abilities.volatile !== true) return undefined;
    this.#news ??= this.#broker
      .subscribe(`${NEWS}${this.id}`, (event) => {
        if (event.type === "volatile")
          void this.#check(new TextDecoder().decode(event.data).split("\n", PLACES_AT_ONCE));
      })
      .catch(() => {
        this.#news = undefined;
        return undefined;
      });
    return this.#news;
  }

  /** What is taken from an owner in one turn of the event loop, it is told together. */
  #tell(owner: string, place: { readonly group: string; readonly key: string }): void {
    if (this.#broker.abilities.volatile !== true) return;
    if (this.#taken.size === 0) setImmediate(() => this.#tellAll());
    const places = this.#taken.get(owner) ?? [];
    this.#taken.set(owner, places);
    places.push(placeOf(place.group, place.key));
  }

  #tellAll(): void {
    const taken = [...this.#taken];
    this.#taken.clear();
    for (const [owner, places] of taken) {
      for (let from = 0; from < places.length; from += PLACES_AT_ONCE) {
        const data = new TextEncoder().encode(places.slice(from, from + PLACES_AT_ONCE).join("\n"));
        this.#broker.notify(`${NEWS}${owner}`, data).catch(() => undefined);
      }
    }
  }

  /** The news only says where to look. */
  async #check(places: readonly string[]): Promise<void> {
    const held = places.flatMap((place) => this.#held.get(place) ?? []);
    await Promise.all(held.map((one) => this.#restore(one).catch(() => undefined)));
  }
}

/** Names hold no space. */
function placeOf(group: string, key: string): string {
  return `${group} ${key}`;
}
