import type { Abilities } from "./abilities.ts";
import type { BrokerError } from "./errors.ts";
import type { LeaseTable } from "./lease-table.ts";

/**
 * The broker port: what Holdfast needs of a message broker, and all that it may assume of one. An engine proves
 * itself with the contract suite in `contract.ts`.
 *
 * A **channel** is a named, ordered log. Its entries are numbered from 1 without holes (`offset`), so that a
 * missing one is seen at once by anybody who holds its neighbours.
 *
 * What every engine promises:
 *
 * - **Order.** All subscribers, on all nodes, are given a channel's entries in offset order, each once. Entries of
 *   publishes that were not awaited one after the other have an arbitrary order, the same for everybody; those of one
 *   `publishAll` are in its order, channel by channel.
 * - **Accepted.** `publish` resolves when the entry is in the log: every later `history` shows it, and every
 *   subscription delivers it. A rejected publish may have been accepted all the same (the answer was lost): repeat
 *   it with the same idempotency key.
 * - **No silent gap.** A connection that was lost is made again by the engine, with back-off. What was missed is
 *   read from the log and delivered before anything later. Where the log no longer reaches back, the subscriber is
 *   told with a `reset` event and nothing is delivered as though it followed on.
 * - **One sequence.** With the ability `oneSequence`, one node's subscriptions together are given the entries of all
 *   their channels in the order of `seq`, but for what comes to a channel while it was told to be `behind` (once none is, all
 *   up to the newest has come), and for what a subscription reads on its way in from `since`.
 * - **Disconnected.** A call waits for the connection for a bounded time and is then rejected as retryable.
 *   Subscriptions and followed leases stay, and go on by themselves.
 * - **Restart.** With the ability `durable`, logs, epochs, idempotency keys and leases are there again after a restart
 *   of the broker. Without it every channel begins anew with another epoch, so that no old position is mistaken.
 */
export interface Broker {
  /** What this engine has and has not, and why. Never changes. */
  readonly abilities: Abilities;

  /** Who is here: records with an owner and a time to live, beside the logs. */
  readonly leases: LeaseTable;

  /**
   * Appends to a channel's log.
   *
   * @param data opaque bytes, at most the engine's entry limit (default 1 MiB).
   * @throws BrokerError `BROKER_CLOSED`, `BROKER_UNAVAILABLE` (retryable), `BROKER_FULL` (retryable), `ENTRY_TOO_LARGE`,
   *   `CHANNEL_INVALID`, `CHANNEL_LIMIT`, `ENTRY_INVALID`, `IDEMPOTENCY_KEY_INVALID`, `RETENTION_INVALID`,
   *   `ABILITY_MISSING`
   */
  publish(channel: string, data: Uint8Array, options?: PublishOptions): Promise<Published>;

  /**
   * Appends to many channels' logs with few round trips. Within a channel the order is that of the list.
   *
   * @param publications 1 to 1,000, with 2 MiB of data together at most.
   * @returns for each publication what became of it, in the list's order: one that is refused holds up no other.
   * @throws BrokerError `BATCH_INVALID`, or, when it is not known what was accepted, `BROKER_CLOSED`,
   *   `BROKER_UNAVAILABLE` (retryable), `BROKER_FULL` (retryable): repeat it with the same idempotency keys.
   */
  publishAll(publications: readonly Publication[]): Promise<readonly PublishOutcome[]>;

  /**
   * Hands a message to those who are subscribed now, on all nodes, as a `volatile` event: at most once, with no place
   * in the log and no order against its entries. For what is worthless a second later (somebody is typing).
   * Resolves when the broker has it; who is away meanwhile misses it.
   *
   * @throws BrokerError `BROKER_CLOSED`, `BROKER_UNAVAILABLE` (retryable), `ENTRY_TOO_LARGE`, `ENTRY_INVALID`,
   *   `CHANNEL_INVALID`, `ABILITY_MISSING`
   */
  notify(channel: string, data: Uint8Array): Promise<void>;

  /**
   * Delivers a channel's entries, from now on or from `since` on, until closed. The listener is called on the event
   * loop and must neither block nor throw; what it throws harms no other listener. Its first event is given before this
   * resolves: `subscribed`, and every entry after that position follows with no seam; or, where `since` can't be
   * continued from, `reset` with the reason, and every entry after its head follows.
   *
   * A channel has an epoch from its first use on, and offset 0 before its first entry. Subscriptions that are asked for
   * in one turn of the event loop cost a few round trips together, however many they are.
   *
   * @throws BrokerError `BROKER_CLOSED`, `BROKER_UNAVAILABLE` (retryable), `CHANNEL_INVALID`, `CHANNEL_LIMIT`,
   *   `QUERY_INVALID`
   */
  subscribe(
    channel: string,
    listener: (event: ChannelEvent) => void,
    options?: SubscribeOptions,
  ): Promise<Subscription>;

  /**
   * Reads a channel's log, forwards or backwards. The page and the head it reports are of one moment.
   *
   * @throws BrokerError `BROKER_CLOSED`, `BROKER_UNAVAILABLE` (retryable), `CHANNEL_INVALID`, `CHANNEL_LIMIT`,
   *   `QUERY_INVALID`, `ABILITY_MISSING`
   */
  history(channel: string, query: HistoryQuery): Promise<History>;

  /** Calls the listener at once with whether the broker can be reached, and with each change. @returns ends it. */
  watch(listener: (status: BrokerStatus) => void): () => void;

  /** Ends all subscriptions without an event. Idempotent; later calls reject with `BROKER_CLOSED`. */
  close(): Promise<void>;
}

export interface PublishOptions {
  /**
   * A second publish to the same channel with the same key, for at least 5 minutes, appends nothing and is answered
   * with the first one's position. 1 to 256 characters.
   */
  readonly idempotencyKey?: string;
  /** How much of this channel's log is kept from now on. */
  readonly retention?: Retention;
}

export interface Publication extends PublishOptions {
  readonly channel: string;
  readonly data: Uint8Array;
}

/** Entries beyond either bound are dropped, oldest first. */
export interface Retention {
  readonly maxEntries: number;
  readonly maxAgeMs: number;
}

export interface Published {
  readonly position: Position;
  readonly seq: number;
  /**
   * An earlier publish with the same idempotency key was accepted; this one appended nothing. The earlier one may be
   * this one's own first attempt, repeated by the engine because its answer was lost.
   */
  readonly duplicate: boolean;
}

export type PublishOutcome =
  | ({ readonly type: "published" } & Published)
  /** Nothing was appended for this one; `publish` would have thrown the error. */
  | { readonly type: "refused"; readonly error: BrokerError };

/**
 * A place in a channel's log: after the entry at `offset`, or before the first with offset 0.
 *
 * The epoch changes when a log was lost or begun anew; the tag is the entry's own, so that a log that was rolled
 * back and written on differently is told from the one that the position was taken in.
 */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
  /** Empty at offset 0. */
  readonly tag: string;
}

export interface Entry {
  /** Contiguous in its channel, from 1. */
  readonly offset: number;
  /** Increases over all channels of one partition; has holes. */
  readonly seq: number;
  /** A few random characters of this entry's own. */
  readonly tag: string;
  /** Milliseconds since 1970 by the broker's clock, when it was accepted. For people; never for ordering. */
  readonly time: number;
  readonly data: Uint8Array;
}

export interface SubscribeOptions {
  /** Deliver what comes after this position. Absent: what comes from now on. */
  readonly since?: Position;
}

export type ChannelEvent =
  /** Every entry after `position` will follow. With `since` it is that very position. */
  | { readonly type: "subscribed"; readonly position: Position }
  | { readonly type: "entry"; readonly entry: Entry }
  /** Entries were lost to this subscription, or the log began anew; what follows comes after `head`. */
  | { readonly type: "reset"; readonly head: Position; readonly reason: Unrecoverable }
  /**
   * From here to `abreast`, entries of this channel may come later or earlier than those of other channels that `seq` puts
   * beside them: the connection was lost, or a gap is being read. `abreast` follows, after a `reset` too, unless the
   * subscription is closed before. A subscription on its way in from `since` is told of what happens once it is in.
   */
  | { readonly type: "behind" }
  /**
   * All that was missed has been delivered, or lost with a `reset`, and so has what other channels have beside it: the channel
   * keeps up with the others again.
   */
  | { readonly type: "abreast" }
  /** What `notify` was given. */
  | { readonly type: "volatile"; readonly data: Uint8Array };

export interface Subscription {
  /** After this no event is delivered. Idempotent. */
  close(): Promise<void>;
}

export interface HistoryQuery {
  /** Read forwards what comes after this position. Absent: from the oldest entry kept. */
  readonly since?: Position;
  /** Read backwards, newest first. Not together with `since`. */
  readonly backwards?: boolean;
  /** Backwards only: begin with the entry before the one at this position. Absent: with the newest. */
  readonly before?: Position;
  /** At most this many entries. Default 1,000, and more is taken as 1,000; 0 asks for the head alone. */
  readonly limit?: number;
}

/**
 * `page`: the entries right after the position (backwards: right before it), and nothing left out between. Never a
 * partial answer, but it may hold fewer entries than were asked for, since engines bound a page's bytes too: forwards
 * there is more to read as long as its last offset is below the head's, backwards until a page is empty. It holds one
 * entry at least, unless there is none or `limit` is 0.
 *
 * `seq` is that of the entry at the head, also when that entry is no longer kept; 0 where there was none yet. In a log
 * that was written before Holdfast kept it, and whose newest entry is gone, it is larger, and never smaller.
 */
export type History =
  | {
      readonly type: "page";
      readonly entries: readonly Entry[];
      readonly head: Position;
      readonly seq: number;
    }
  | {
      readonly type: "unrecoverable";
      readonly reason: Unrecoverable;
      readonly head: Position;
      readonly seq: number;
    };

/**
 * Why a position can't be continued from. `epoch`: of another log; `ahead`: past the head, so the log was rolled
 * back; `tag`: the entry at that offset is another one; `trimmed`: entries after it are no longer kept (forwards only:
 * before it there may always be nothing left).
 */
export type Unrecoverable = "epoch" | "ahead" | "tag" | "trimmed";

export type BrokerStatus =
  | { readonly type: "available" }
  | { readonly type: "unavailable"; readonly error: Error };
