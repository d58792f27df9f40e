import type { Subscription } from "./port.ts";

/**
 * Who is here: records with an owner and a time to live (nodes, sessions, presence). An engine keeps the table; what an
 * owner does (renewing, healing, being told) is `LeaseOwner`, the same for all engines.
 *
 * A lease has a place, `group` and `key`, and lives as long as its owner, and `lingerMs` longer. An owner lives until
 * `ttlMs` after its last renewal, so that a thousand leases cost one renewal. Times are the broker's own, so that the
 * clocks of nodes don't matter.
 *
 * What every engine with the ability `leases` promises:
 *
 * - **One winner.** Writes of one place are one after the other. `version` increases with each write of the table's
 *   partition, so a version is never seen twice in one place, also not after a removal.
 * - **Fenced.** Who does not own a lease writes it only by naming the version that it saw (`expect`).
 * - **Consistent.** `list` is of one moment. A follower is given all leases first, then each change in order;
 *   where it may have missed one, all leases again.
 * - **On time.** A lease is gone for `list` and `put` once its time is over, and followers are told soon after.
 * - **Restart.** As the log: with the ability `durable` leases survive, and every owner has its whole `ttlMs` again.
 *
 * Every call throws BrokerError `BROKER_CLOSED`, `BROKER_UNAVAILABLE` (retryable), `LEASE_INVALID`, and
 * `ABILITY_MISSING` where the engine has no leases.
 */
export interface LeaseTable {
  /** Keeps an owner alive from now on for `ttlMs`. @returns how many leases it has: 0 when it was over, or is new. */
  renew(owner: string, ttlMs: number): Promise<number>;

  /**
   * Writes a lease, if the write's condition holds; refused, it changed nothing. An owner that is over, or is new, lives
   * from this write on.
   *
   * @throws BrokerError also `LEASE_LIMIT` (retryable), `BROKER_FULL` (retryable)
   */
  put(write: LeaseWrite): Promise<LeasePut>;

  /** Removes a lease that this owner has. @returns whether it had it. */
  remove(owner: string, group: string, key: string): Promise<boolean>;

  /** Ends an owner now, as though its time were over: its leases go, those that linger after their `lingerMs`. */
  release(owner: string): Promise<void>;

  /** All leases of a group, by key. */
  list(group: string): Promise<readonly Lease[]>;

  /** Tells all leases of a group, before it resolves, and then each change, until closed. */
  follow(group: string, listener: (event: LeaseEvent) => void): Promise<Subscription>;
}

export interface Lease {
  /** 1 to 200 characters, as a channel's name. */
  readonly group: string;
  /** 1 to 200 characters, as a channel's name. Once in its group. */
  readonly key: string;
  /** 1 to 150 characters, as a channel's name. */
  readonly owner: string;
  readonly version: number;
  /** Opaque bytes, at most 64 KiB. */
  readonly value: Uint8Array;
}

export interface LeaseWrite {
  readonly owner: string;
  /** As for `renew`; counts where this write begins the owner's life. 10 ms to an hour. */
  readonly ttlMs: number;
  readonly group: string;
  readonly key: string;
  readonly value: Uint8Array;
  /** How long the lease outlives its owner, in milliseconds, to 24 hours. */
  readonly lingerMs: number;
  /**
   * The condition of the write.
   *
   * - `own`: the lease here is this owner's; or there is none, and `version` is 0 (the owner never had it), or nobody else
   *   had it since that version (engines remember that for an hour after such a lease is gone).
   * - `restore`: as `own`, but where it is this owner's nothing is written, and the answer is its version.
   * - `expect`: the lease here, whoever owns it, has exactly this version; 0: there is none. It is this owner's then.
   */
  readonly when: { readonly type: "own" | "restore" | "expect"; readonly version: number };
}

export type LeasePut =
  | {
      readonly type: "put";
      readonly version: number;
      /** The owner that it was taken from, by `expect`. */
      readonly takenFrom?: string;
    }
  /** The condition did not hold; with what is there instead. */
  | { readonly type: "refused"; readonly lease: Lease | undefined };

export type LeaseEvent =
  /** All that there are: at first, and whenever a change may have been missed. */
  | { readonly type: "leases"; readonly leases: readonly Lease[] }
  | { readonly type: "put"; readonly lease: Lease }
  /** `expired`: its time was over. `removed`: its owner removed it, or ended. */
  | { readonly type: "removed" | "expired"; readonly key: string; readonly version: number };
