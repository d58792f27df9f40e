import type { BrokerError, Entry, Position } from "@holdfast/broker";
import type { RemoteChannel } from "@holdfast/broker/engine";
import type { Announcement } from "./announcement.ts";

/**
 * A channel that is announced on one connection while its head is read on another: what is announced before the head is
 * known only says how far there is to read.
 */
export class FollowedChannel {
  readonly name: string;
  channel: RemoteChannel | undefined;
  /** What is announced can be handed on. */
  #live = false;
  /** The epoch that what is announced has to be of; the channel may still be reading its way there. */
  #epoch: string | undefined;
  #late: { readonly epoch: string; readonly entry: Entry } | undefined;
  #round = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** The last entry that was delivered here. */
  get position(): Position | undefined {
    return this.channel?.position;
  }

  /** Its head is about to be read. @returns what that reading is known by */
  begin(): number {
    return this.#round;
  }

  /** @returns whether its head has to be read (again) */
  take(announcement: Announcement): "check" | "taken" {
    switch (announcement.type) {
      case "volatile":
        this.channel?.notify(announcement.data);
        return "taken";
      case "epoch":
        return "check";
      case "entry":
        if (this.#live && announcement.epoch === this.#epoch) {
          this.channel?.entry(announcement.entry);
          return "taken";
        }
        this.#late = announcement;
        if (!this.#live) return "taken";
        // Another log: nothing of it can be delivered before its head is read, and other channels go on meanwhile.
        this.#live = false;
        this.#round++;
        this.channel?.away();
        return "check";
    }
  }

  /** @returns whether it has to be read again, since something else was announced meanwhile */
  told(head: Position, round: number): "check" | "taken" {
    // The connection was lost since: its end asks again.
    if (round !== this.#round || !this.channel) return "taken";
    const here = this.position;
    const isBehindUs = here?.epoch === head.epoch && here.offset > head.offset;
    const late = this.#late;
    this.#late = undefined;
    const told = late?.epoch === head.epoch ? late.entry.offset : 0;
    if (!this.#live || !here || !(isBehindUs || isSame(here, head))) this.channel.subscribed(head, told);
    this.#live = true;
    this.#epoch = head.epoch;
    return late && late.epoch !== head.epoch ? "check" : "taken";
  }

  /** Its head could not be read. While it is live it needs none. */
  failed(error: BrokerError, round: number): void {
    if (round === this.#round && !this.#live) this.channel?.refused(error);
  }

  /** The connection that announces is gone. */
  away(): void {
    this.#live = false;
    this.#late = undefined;
    this.#round++;
    this.channel?.away();
  }
}

function isSame(a: Position, b: Position): boolean {
  return a.epoch === b.epoch && a.offset === b.offset && a.tag === b.tag;
}
