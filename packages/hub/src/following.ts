import type { Position } from "@holdfast/broker";
import type { Channel } from "./channel.ts";
import { HubError } from "./errors.ts";
import type { Outlet } from "./outlet.ts";

/** An outlet's place on a channel as a whole, without a member for each of its subscribers. */
export interface Following {
  /**
   * The position after which every entry of the channel is handed to the outlet, until `close`. The first of them may
   * come before this resolves. Rejects as `Broker.subscribe` does, and with HubError `HUB_CLOSED`; it has then ended.
   */
  readonly ready: Promise<Position>;
  /** The position of the entry that was handed to the outlets of this channel last; offset 0 without an epoch before `ready`. */
  readonly last: Position;
  /** Nothing is handed to the outlet after this, unless it is there for another reason too. Idempotent. */
  close(): void;
}

/** A following on an open hub. A node has one of them for each of its sockets, so it is a few words of memory. */
export class OpenFollowing implements Following {
  readonly #channel: Channel;
  readonly #outlet: Outlet;
  readonly #onClose: (channel: Channel) => void;
  readonly #start: Position | undefined;
  #isOpen = true;

  constructor(channel: Channel, outlet: Outlet, onClose: (channel: Channel) => void) {
    this.#channel = channel;
    this.#outlet = outlet;
    this.#onClose = onClose;
    this.#start = channel.began && channel.last;
    channel.enter(outlet);
  }

  get ready(): Promise<Position> {
    if (this.#start) return Promise.resolve(this.#start);
    return this.#channel.followed.then(() => this.#channel.began ?? this.#channel.last);
  }

  get last(): Position {
    return this.#channel.last;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#channel.leave(this.#outlet);
    this.#onClose(this.#channel);
  }
}

/** What a closed hub answers with; made without a rejected promise that nobody looks at. */
export class ClosedFollowing implements Following {
  readonly last: Position = { epoch: "", offset: 0, tag: "" };

  get ready(): Promise<Position> {
    return Promise.reject(new HubError("HUB_CLOSED"));
  }

  close(): void {}
}
