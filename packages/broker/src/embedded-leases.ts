import type { LeaseChange, LeaseStore } from "./lease-store.ts";
import type { Lease, LeaseEvent, LeasePut, LeaseTable, LeaseWrite } from "./lease-table.ts";
import { checkLeasePlace, checkLeaseWrite, checkOwner } from "./limits.ts";
import type { Subscription } from "./port.ts";

/** What the leases need of the broker that they are in. */
export interface LeaseHost {
  /** Does the work in the next transaction; resolves when it is committed. */
  change<T>(bytes: number, work: () => T): Promise<T>;
  /** Does the work now, and turns what SQLite throws into a BrokerError. */
  read<T>(work: () => T): T;
  refuseClosed(): void;
  readonly clock: () => number;
  readonly sweepMs: number;
  readonly onListenerError: (error: unknown) => void;
}

interface Follower {
  readonly listener: (event: LeaseEvent) => void;
}

/** How late followers hear of a lease whose time is over, at most. */
const SWEEP_MS = 50;

/** The leases of an embedded broker. */
export class EmbeddedLeases implements LeaseTable {
  readonly #store: LeaseStore;
  readonly #host: LeaseHost;
  readonly #followers = new Map<string, Set<Follower>>();
  readonly #timer: NodeJS.Timeout;
  #sweeping = false;

  constructor(store: LeaseStore, host: LeaseHost) {
    this.#store = store;
    this.#host = host;
    this.#timer = setInterval(() => void this.#sweep(), Math.min(SWEEP_MS, host.sweepMs));
    this.#timer.unref();
  }

  async renew(owner: string, ttlMs: number): Promise<number> {
    this.#host.refuseClosed();
    checkOwner(owner, ttlMs);
    const renew = () => this.#store.renew(owner, ttlMs, this.#host.clock());
    // As long as nothing of it is over, renewing is not worth a commit.
    return this.#store.isLate(owner, this.#host.clock()) ? this.#host.change(0, renew) : renew();
  }

  async put(write: LeaseWrite): Promise<LeasePut> {
    this.#host.refuseClosed();
    checkLeaseWrite(write);
    const own = { ...write, value: new Uint8Array(write.value) };
    return this.#host.change(own.value.length, () => this.#store.put(own, this.#host.clock()));
  }

  async remove(owner: string, group: string, key: string): Promise<boolean> {
    this.#host.refuseClosed();
    checkOwner(owner);
    checkLeasePlace(group, key);
    return this.#host.change(0, () => this.#store.remove(owner, group, key, this.#host.clock()));
  }

  async release(owner: string): Promise<void> {
    this.#host.refuseClosed();
    checkOwner(owner);
    return this.#host.change(0, () => this.#store.release(owner, this.#host.clock()));
  }

  async list(group: string): Promise<readonly Lease[]> {
    this.#host.refuseClosed();
    checkLeasePlace(group);
    return this.#host.read(() => this.#store.list(group, this.#host.clock()));
  }

  async follow(group: string, listener: (event: LeaseEvent) => void): Promise<Subscription> {
    this.#host.refuseClosed();
    checkLeasePlace(group);
    // In one turn of the event loop, so that no commit comes in between.
    const leases = this.#host.read(() => this.#store.list(group, this.#host.clock()));
    const follower = { listener };
    const followers = this.#followers.get(group) ?? new Set();
    this.#followers.set(group, followers.add(follower));
    this.#tell(follower, { type: "leases", leases });
    return {
      close: async () => {
        followers.delete(follower);
        if (followers.size === 0 && this.#followers.get(group) === followers) this.#followers.delete(group);
      },
    };
  }

  /** Tells followers what was committed. */
  changed(changes: readonly LeaseChange[]): void {
    for (const { group, event } of changes)
      for (const follower of this.#followers.get(group) ?? []) this.#tell(follower, event);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#followers.clear();
  }

  async #sweep(): Promise<void> {
    if (this.#sweeping || !this.#store.isDue(this.#host.clock())) return;
    this.#sweeping = true;
    try {
      while (await this.#host.change(0, () => this.#store.sweep(this.#host.clock())));
    } catch {
      // The broker's state says that it can't be written; what is over is over for every reader all the same.
    } finally {
      this.#sweeping = false;
    }
  }

  #tell({ listener }: Follower, event: LeaseEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.#host.onListenerError(error);
    }
  }
}
