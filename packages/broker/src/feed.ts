import { setTimeout as pause } from "node:timers/promises";
import type {
  ChannelEvent,
  Entry,
  History,
  Position,
  SubscribeOptions,
  Subscription,
  Unrecoverable,
} from "./port.ts";

export type Listener = (event: ChannelEvent) => void;

/** One listener. A node has one for the channel of each of its sockets, so it is its own subscription. */
class Member implements Subscription {
  readonly listener: Listener;
  /** The last offset that this listener knows of, and the tag of its entry where that is still to come here. */
  last: number;
  tag: string | undefined;
  open = true;
  readonly #feed: Feed;

  constructor(listener: Listener, last: number, feed: Feed) {
    this.listener = listener;
    this.last = last;
    this.#feed = feed;
  }

  async close(): Promise<void> {
    this.#feed.leave(this);
  }
}

/** What feeds need of their engine. */
export interface FeedHost {
  /** Reads a page of the channel's log after a position. */
  read(channel: string, since: Position): Promise<History>;
  /** The last listener has left. */
  empty(channel: string): void;
  /** Told what a listener threw. */
  onListenerError(error: unknown): void;
}

const BEHIND: ChannelEvent = { type: "behind" };
const ABREAST: ChannelEvent = { type: "abreast" };

/** A listener on its way in, whose log can't be read now, is read to again after this long. */
const RETRY_MS = 200;

/**
 * One channel's listeners in this process, and how far all of them were served. Each gets its first event, then
 * exactly the entries after it; what one of them throws is told to the host and harms no other.
 */
export class Feed {
  readonly #channel: string;
  /** Most channels have one listener, so only a second one costs a collection. */
  #only: Member | undefined;
  #members: Set<Member> | undefined;
  readonly #host: FeedHost;
  /** Reads that those who come from one position in one turn of the event loop share. */
  #reads: Map<string, Promise<History>> | undefined;
  #arriving = 0;
  #position: Position;
  /** Changes with every reset: what was read before is of no use after. */
  #resets = 0;
  #isBehind = false;
  #ended = false;

  constructor(channel: string, position: Position, host: FeedHost) {
    this.#channel = channel;
    this.#position = position;
    this.#host = host;
  }

  /** The last entry that was delivered here, or where the feed began. */
  get position(): Position {
    return this.#position;
  }

  /** Listeners, those on their way in included. */
  get size(): number {
    return (this.#members?.size ?? (this.#only ? 1 : 0)) + this.#arriving;
  }

  /** @throws what the host's `read` throws, where the log is needed before the listener was told anything. */
  async join(listener: Listener, { since }: SubscribeOptions = {}): Promise<Subscription> {
    const { offset } = this.#position;
    const member = new Member(listener, offset, this);
    if (since === undefined || isSame(since, this.#position)) {
      this.#add(member);
      this.#tell(member, { type: "subscribed", position: this.#position });
      if (this.#isBehind) this.#tell(member, BEHIND);
      return member;
    }
    this.#arriving++;
    let position = since;
    try {
      // The first page decides what the listener is told first; the others follow after this has resolved.
      position = await this.#arrive(member, position, true);
    } catch (error) {
      this.#arriving--;
      this.leave(member);
      throw error;
    }
    if (this.#has(member) || !member.open) this.#arrived(member);
    else void this.#catchUp(member, position);
    return member;
  }

  /** @returns whether the entry was the next one. An older one is dropped; for a later one the gap has to be read. */
  deliver(entry: Entry): boolean {
    const { epoch, offset } = this.#position;
    if (entry.offset !== offset + 1) return entry.offset <= offset;
    this.#position = { epoch, offset: entry.offset, tag: entry.tag };
    this.#reads = undefined;
    const event: ChannelEvent = { type: "entry", entry };
    for (const member of this.#all()) {
      if (entry.offset > member.last) {
        member.last = entry.offset;
        this.#tell(member, event);
      } else if (entry.offset === member.last && member.tag !== undefined) {
        // It was read before it came here: another entry now means that the log was rolled back in between.
        if (entry.tag !== member.tag)
          this.#tell(member, { type: "reset", head: this.#position, reason: "tag" });
        member.tag = undefined;
      }
    }
    return true;
  }

  /** Hands a message that is not of the log to all listeners. */
  notify(data: Uint8Array): void {
    const event: ChannelEvent = { type: "volatile", data };
    for (const member of this.#all()) this.#tell(member, event);
  }

  /** Goes on after another position, since the log can't be followed from this one. */
  reset(head: Position, reason: Unrecoverable): void {
    this.#position = head;
    this.#resets++;
    this.#reads = undefined;
    for (const member of [...this.#all()]) {
      [member.last, member.tag] = [head.offset, undefined];
      this.#tell(member, { type: "reset", head, reason });
    }
  }

  /** What comes next may come late, until `abreast`. */
  behind(): void {
    if (this.#isBehind) return;
    this.#isBehind = true;
    for (const member of this.#all()) this.#tell(member, BEHIND);
  }

  abreast(): void {
    if (!this.#isBehind) return;
    this.#isBehind = false;
    for (const member of this.#all()) this.#tell(member, ABREAST);
  }

  /** Ends all subscriptions without an event. */
  end(): void {
    this.#ended = true;
    for (const member of this.#all()) member.open = false;
    this.#only = undefined;
    this.#members = undefined;
  }

  async #catchUp(member: Member, from: Position): Promise<void> {
    let position = from;
    while (member.open && !this.#ended && !this.#has(member)) {
      try {
        position = await this.#arrive(member, position, false);
      } catch {
        await pause(RETRY_MS, undefined, { ref: false });
      }
    }
    this.#arrived(member);
  }

  #arrived(member: Member): void {
    this.#arriving--;
    if (!member.open) this.#emptied();
  }

  /**
   * Reads one page for a listener on its way in, and lets it in, in that same turn of the event loop, when it has come
   * as far as the feed: so there is neither a buffer nor a seam.
   */
  async #arrive(member: Member, since: Position, isFirst: boolean): Promise<Position> {
    const resets = this.#resets;
    const history = await this.#read(since);
    if (!member.open || this.#ended) {
      member.open = false;
      return since;
    }
    // What was read is of a log that the feed has left meanwhile: the next read says what is so now.
    if (resets !== this.#resets) return isFirst ? this.#arrive(member, since, true) : since;
    if (history.type === "unrecoverable") {
      this.#enter(member, this.#position);
      this.#tell(member, { type: "reset", head: this.#position, reason: history.reason });
      if (this.#isBehind) this.#tell(member, BEHIND);
      return this.#position;
    }
    if (isFirst) this.#tell(member, { type: "subscribed", position: since });
    let position = since;
    for (const entry of history.entries) {
      if (!member.open) return position;
      position = { epoch: since.epoch, offset: entry.offset, tag: entry.tag };
      this.#tell(member, { type: "entry", entry });
    }
    if (member.open && !this.#ended && position.offset >= this.#position.offset) {
      this.#enter(member, position);
      if (this.#isBehind) this.#tell(member, BEHIND);
    }
    // A page from before the feed's newest entry shows nothing new yet.
    else if (history.entries.length === 0 && !isFirst) throw new Error("The log is behind its feed.");
    return position;
  }

  #read(since: Position): Promise<History> {
    const key = `${since.offset} ${since.tag} ${since.epoch}`;
    const shared = this.#reads?.get(key);
    if (shared) return shared;
    const read = this.#host.read(this.#channel, since);
    if (!this.#reads) {
      const reads = new Map();
      this.#reads = reads;
      setImmediate(() => {
        if (this.#reads === reads) this.#reads = undefined;
      });
    }
    this.#reads.set(key, read);
    return read;
  }

  #enter(member: Member, { offset, tag }: Position): void {
    member.last = offset;
    member.tag = offset > this.#position.offset ? tag : undefined;
    this.#add(member);
  }

  #all(): Iterable<Member> {
    return this.#members ?? (this.#only ? [this.#only] : []);
  }

  #has(member: Member): boolean {
    return this.#only === member || this.#members?.has(member) === true;
  }

  #add(member: Member): void {
    if (this.#members) this.#members.add(member);
    else if (this.#only && this.#only !== member) {
      this.#members = new Set([this.#only, member]);
      this.#only = undefined;
    } else this.#only = member;
  }

  /** A member's own way out. Idempotent. */
  leave(member: Member): void {
    if (!member.open) return;
    member.open = false;
    if (this.#only === member) this.#only = undefined;
    if (this.#members?.delete(member) && this.#members.size === 0) this.#members = undefined;
    this.#emptied();
  }

  #emptied(): void {
    if (this.size === 0 && !this.#ended) this.#host.empty(this.#channel);
  }

  #tell(member: Member, event: ChannelEvent): void {
    if (!member.open) return;
    try {
      member.listener(event);
    } catch (error) {
      this.#host.onListenerError(error);
    }
  }
}

export function isSame(a: Position, b: Position): boolean {
  return a.offset === b.offset && a.tag === b.tag && a.epoch === b.epoch;
}
