import type { Entry, Position, Unrecoverable } from "@holdfast/broker";

/**
 * One binding of the hub to its clients. Everybody live on a channel is one group: an entry is handed over once,
 * and the outlet takes it to all of them. Its methods must neither block nor throw.
 */
export interface Outlet {
  /** The next entry of a channel, for everybody live on it. */
  deliver(channel: string, entry: Entry): void;
  /** Entries were lost to everybody live on the channel, or its log began anew; what follows comes after `head`. */
  reset(channel: string, head: Position, reason: Unrecoverable): void;
  /** What `Broker.notify` was given for a channel, for everybody live on it: outside of the log and of its order. */
  volatile?(channel: string, data: Uint8Array): void;
}

/** Where a subscription begins. */
export interface Start {
  /** Everything after the cursor follows, without a seam. False: no cursor was given, or it can't be continued from. */
  readonly recovered: boolean;
  /** What follows comes after this position. */
  readonly position: Position;
  /** The offset of the channel's newest entry, as of now: at it, the subscriber has caught up. */
  readonly head: number;
}

/**
 * One subscriber on its way in. Told `begin` once, then what it missed, then `live` once: in the same turn of the
 * event loop in which the outlet's next entry is its own next one. Must not throw.
 */
export interface Arrival {
  begin(start: Start): void;
  /** The next entries. A promise holds back further ones until it is settled. */
  entries(entries: readonly Entry[]): Promise<void> | undefined;
  /** The log no longer reaches back to where this subscriber is; what follows comes after `head`. */
  reset(head: Position, reason: Unrecoverable): void;
  /** From here on the outlet delivers. */
  live(): void;
}

/** A subscriber's place on this node. */
export interface Membership {
  /**
   * Resolves once live, or once left. A broker's error rejects it, before `begin` or in the middle of what was
   * missed; the membership has then ended.
   */
  readonly joined: Promise<void>;
  /** After this the arrival is told nothing. Idempotent. */
  leave(): void;
}
