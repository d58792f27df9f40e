import type { ChannelEvent, Entry, Position, Subscription, Unrecoverable } from "./port.ts";

export type Listener = (event: ChannelEvent) => void;

interface Member {
  readonly listener: Listener;
  /** The last offset that this listener knows of. */
  last: number;
  open: boolean;
}

/**
 * One channel's listeners in this process, and how far all of them were served. Each gets its `subscribed` event
 * first, then exactly the entries after it; what one of them throws is told to `onError` and harms no other.
 */
export class Feed {
  readonly #members = new Set<Member>();
  readonly #onError: (error: unknown) => void;
  readonly #onEmpty: () => void;
  #position: Position;

  /** @param onEmpty is called when the last listener has left. */
  constructor(position: Position, onError: (error: unknown) => void, onEmpty: () => void) {
    this.#position = position;
    this.#onError = onError;
    this.#onEmpty = onEmpty;
  }

  /** The last entry that was delivered here, or where the feed began. */
  get position(): Position {
    return this.#position;
  }

  get size(): number {
    return this.#members.size;
  }

  join(listener: Listener): Subscription {
    const member: Member = { listener, last: this.#position.offset, open: true };
    this.#members.add(member);
    this.#tell(member, { type: "subscribed", head: this.#position });
    return {
      close: async () => {
        member.open = false;
        if (this.#members.delete(member) && this.#members.size === 0) this.#onEmpty();
      },
    };
  }

  /** @returns whether the entry was the next one. An older one is dropped; for a later one the gap has to be read. */
  deliver(entry: Entry): boolean {
    const { epoch, offset } = this.#position;
    if (entry.offset !== offset + 1) return entry.offset <= offset;
    this.#position = { epoch, offset: entry.offset, tag: entry.tag };
    for (const member of this.#members) {
      if (entry.offset <= member.last) continue;
      member.last = entry.offset;
      this.#tell(member, { type: "entry", entry });
    }
    return true;
  }

  /** Goes on after another position, since the log can't be followed from this one. */
  reset(head: Position, reason: Unrecoverable): void {
    this.#position = head;
    for (const member of [...this.#members]) {
      member.last = head.offset;
      this.#tell(member, { type: "reset", head, reason });
    }
  }

  /** Ends all subscriptions without an event. */
  end(): void {
    for (const member of this.#members) member.open = false;
    this.#members.clear();
  }

  #tell(member: Member, event: ChannelEvent): void {
    if (!member.open) return;
    try {
      member.listener(event);
    } catch (error) {
      this.#onError(error);
    }
  }
}
