import type { Broker, History, HistoryQuery, Position } from "@holdfast/broker";
import { Channel, type ChannelContext } from "./channel.ts";
import { type HubCounters, zeroCounters } from "./counters.ts";
import { HubError } from "./errors.ts";
import type { HubEvent } from "./events.ts";
import { Fence } from "./fence.ts";
import { ClosedFollowing, type Following, OpenFollowing } from "./following.ts";
import { LogReader } from "./log-reader.ts";
import { Member } from "./member.ts";
import { type HubOptions, type HubSettings, readHubOptions } from "./options.ts";
import type { Arrival, Membership, Outlet } from "./outlet.ts";
import { Probe } from "./probe.ts";
import { Sequence } from "./sequence.ts";

/** One outlet's access to a hub. */
export interface HubBinding {
  /**
   * Brings a subscriber into a channel: after the cursor, or at the head without one. See {@link Arrival} for what
   * it is told, and {@link Membership} for how it ends.
   */
  join(channel: string, cursor: Position | undefined, arrival: Arrival): Membership;
  /** All of its members leave. */
  close(): void;
}

/** For whom something is followed that nobody is given. */
const NOBODY: Outlet = { deliver: () => {}, reset: () => {} };

/**
 * One node's view of the channels: which are followed here, what was delivered last, and who is live. It delivers
 * only what comes back from the broker. The broker stays its maker's to close.
 *
 * A channel is followed by one subscription, from its first subscriber here until a while after its last.
 */
export class Hub {
  readonly node: string;
  readonly broker: Broker;
  readonly counters: Readonly<HubCounters>;
  readonly #counters: HubCounters = zeroCounters();
  readonly #settings: HubSettings;
  readonly #sequence: Sequence;
  readonly #context: ChannelContext;
  readonly #reader: LogReader;
  readonly #probe: Probe;
  readonly #fence: Fence;
  readonly #channels = new Map<string, Channel>();
  readonly #lingering = new Map<Channel, NodeJS.Timeout>();
  readonly #members = new Map<Outlet, Set<Member>>();
  #closed = false;

  /** @throws HubError `HUB_OPTION_INVALID` */
  constructor(broker: Broker, options: HubOptions) {
    this.#settings = readHubOptions(options);
    this.broker = broker;
    this.node = options.node;
    this.counters = this.#counters;
    const onEvent = (event: HubEvent) => this.#event(event);
    this.#sequence = new Sequence(broker.abilities, this.#settings, this.#counters, onEvent);
    this.#context = { broker, counters: this.#counters, sequence: this.#sequence, onEvent };
    this.#reader = new LogReader(broker, this.#settings.pageSize, this.#settings.maxReads, this.#counters);
    this.#probe = new Probe(broker, this.#settings, (channel, error) =>
      this.#failed("probe", channel, error),
    );
    const { channel } = this.#probe;
    const follow = () => this.follow(NOBODY, channel);
    this.#fence = new Fence({ broker, sequence: this.#sequence, channel, follow });
  }

  /** A message that this node published to itself has come back lately. */
  get ready(): boolean {
    return this.#probe.ready;
  }

  /**
   * The greatest `seq` of the entries handed to outlets so far, the one in hand included. 0 before the first, and after a
   * reset for a log that was lost or rolled back until the next one, since the broker may count anew.
   */
  get seq(): number {
    return this.#sequence.seq;
  }

  /**
   * Whether everything that this node had to hand out with a lower `seq` than {@link seq} was handed out before. False
   * on a broker without the ability `oneSequence`; from where more was held back for a late channel than
   * `maxHeldEntries`, `maxHeldBytes` and `maxHeldMs` allow, until no channel is late; and while `seq` is 0 after a reset.
   */
  get inOrder(): boolean {
    return this.#sequence.inOrder;
  }

  /**
   * Resolves once this node has handed out everything of the channels that it follows up to a `seq` of an entry that was
   * accepted: what was read of one channel may be newer than what has come on others. One publish, where `seq` is not there yet.
   *
   * @returns whether it has: false where logs were begun anew meanwhile, and on a broker without the ability `oneSequence`.
   *   Rejects as `Broker.subscribe` and `Broker.publish` do, and with HubError `HUB_CLOSED`.
   */
  async upTo(seq: number): Promise<boolean> {
    if (this.broker.abilities.oneSequence !== true) return false;
    // One that was on its way may be from before.
    for (let tries = 0; tries < 2 && this.seq < seq; tries++) await this.#fence.pass();
    return this.seq >= seq;
  }

  /** Hands all of a channel's entries, resets and volatile messages to an outlet, which need not be attached. */
  follow(outlet: Outlet, name: string): Following {
    if (this.#closed) return new ClosedFollowing();
    const channel = this.#enter(name);
    this.#counters.followings++;
    const following = new OpenFollowing(channel, outlet, this.#unfollowed);
    if (!channel.began) {
      channel.followed.catch((error) => {
        this.#failed("subscribe", name, error);
        following.close();
      });
    }
    return following;
  }

  /**
   * Reads a channel's log as `Broker.history` does. Equal reads that have not begun yet become one, and at most
   * `maxReads` are under way at a time.
   */
  read(channel: string, query: HistoryQuery): Promise<History> {
    return this.#reader.read(channel, query);
  }

  attach(outlet: Outlet): HubBinding {
    this.#members.set(outlet, new Set());
    return {
      join: (channel, cursor, arrival) => this.#join(outlet, channel, cursor, arrival),
      close: () => this.#detach(outlet),
    };
  }

  /**
   * Everybody leaves, nothing is followed any more. Idempotent. What the broker has not begun to follow yet is left once it
   * has, which is not waited for: a broker that is away would hold up a process that ends.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#sequence.end();
    for (const outlet of [...this.#members.keys()]) this.#detach(outlet);
    for (const timer of this.#lingering.values()) clearTimeout(timer);
    this.#lingering.clear();
    const channels = [...this.#channels.values()];
    const unfollowed = channels.map((channel) => {
      const isFollowed = channel.began !== undefined;
      const left = this.#unfollow(channel);
      return isFollowed ? left : undefined;
    });
    await Promise.all([this.#probe.close(), ...unfollowed]);
  }

  #join(outlet: Outlet, name: string, cursor: Position | undefined, arrival: Arrival): Membership {
    const members = this.#members.get(outlet);
    if (this.#closed || !members) {
      return { joined: Promise.reject(new HubError("HUB_CLOSED")), leave: () => {} };
    }
    const channel = this.#enter(name);
    this.#counters.members++;
    const member: Member = new Member(channel, outlet, cursor, arrival, this.#reader, this.#counters, () => {
      members.delete(member);
      this.#counters.members--;
      this.#leave(channel);
    });
    members.add(member);
    member.joined.catch((error) => this.#failed("history", name, error));
    return member;
  }

  #detach(outlet: Outlet): void {
    const members = this.#members.get(outlet);
    this.#members.delete(outlet);
    for (const member of members ?? []) member.leave();
  }

  /** The channel with one user more. */
  #enter(name: string): Channel {
    const channel = this.#channels.get(name) ?? this.#begin(name);
    if (channel.users++ === 0) {
      clearTimeout(this.#lingering.get(channel));
      this.#lingering.delete(channel);
    }
    return channel;
  }

  #leave(channel: Channel): void {
    if (--channel.users === 0) this.#linger(channel);
  }

  readonly #unfollowed = (channel: Channel): void => {
    this.#counters.followings--;
    this.#leave(channel);
  };

  #begin(name: string): Channel {
    const channel = new Channel(name, this.#context);
    this.#channels.set(name, channel);
    this.#counters.channels++;
    channel.followed.catch(() => this.#forget(channel));
    return channel;
  }

  #linger(channel: Channel): void {
    if (this.#closed || this.#channels.get(channel.name) !== channel) return;
    const timer = setTimeout(() => void this.#unfollow(channel), this.#settings.lingerMs);
    timer.unref();
    this.#lingering.set(channel, timer);
  }

  async #unfollow(channel: Channel): Promise<void> {
    this.#forget(channel);
    try {
      await channel.close();
    } catch (error) {
      this.#failed("close", channel.name, error);
    }
  }

  #forget(channel: Channel): void {
    clearTimeout(this.#lingering.get(channel));
    this.#lingering.delete(channel);
    if (this.#channels.get(channel.name) !== channel) return;
    this.#channels.delete(channel.name);
    this.#counters.channels--;
  }

  #failed(
    operation: Extract<HubEvent, { type: "broker-error" }>["operation"],
    channel: string,
    error: unknown,
  ): void {
    if (this.#closed) return;
    this.#counters.brokerErrors++;
    this.#event({ type: "broker-error", operation, channel, error });
  }

  #event(event: HubEvent): void {
    this.#settings.onEvent(event);
  }
}
