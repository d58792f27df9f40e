import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { Hub, HubBinding } from "../src/hub.ts";
import type { Arrival, Membership, Outlet, Start } from "../src/outlet.ts";

/** What a binding is to a hub, without Socket.IO: a group of subscribers for each channel. */
export class TestNode implements Outlet {
  readonly groups = new Map<string, Set<Subscriber>>();
  readonly #binding: HubBinding;

  constructor(hub: Hub) {
    this.#binding = hub.attach(this);
  }

  join(channel: string, subscriber: Subscriber, cursor?: Position): Membership {
    subscriber.group = this.groups.get(channel) ?? new Set();
    this.groups.set(channel, subscriber.group);
    const membership = this.#binding.join(channel, cursor, subscriber);
    subscriber.membership = membership;
    return membership;
  }

  deliver(channel: string, entry: Entry): void {
    for (const subscriber of this.groups.get(channel) ?? []) subscriber.take(entry);
  }

  reset(channel: string, head: Position, reason: Unrecoverable): void {
    for (const subscriber of this.groups.get(channel) ?? []) subscriber.reset(head, reason);
  }
}

/** A subscriber that keeps what it is told, and notes what it must never be told. */
export class Subscriber implements Arrival {
  readonly told: string[] = [];
  readonly received: string[] = [];
  readonly faults: string[] = [];
  group: Set<Subscriber> | undefined;
  membership: Membership | undefined;
  position: Position | undefined;
  start: Start | undefined;
  /** Awaited after every page. */
  pressure: (() => Promise<void> | undefined) | undefined;
  #begun = false;
  #live = false;

  begin(start: Start): void {
    if (this.#begun) this.faults.push("begin came twice");
    this.#begun = true;
    this.start = start;
    this.told.push(start.recovered ? "recovered" : "not recovered");
    this.position = start.position;
  }

  entries(entries: readonly Entry[]): Promise<void> | undefined {
    if (!this.#begun || this.#live) this.faults.push("entries came before begin or after live");
    for (const entry of entries) this.take(entry);
    return this.pressure?.();
  }

  reset(head: Position, reason: Unrecoverable): void {
    this.told.push(`reset ${reason}`);
    this.position = head;
  }

  live(): void {
    if (!this.#begun || this.#live) this.faults.push("live came before begin, or twice");
    this.#live = true;
    this.told.push("live");
    this.group?.add(this);
  }

  take(entry: Entry): void {
    const last = this.position;
    if (!last || entry.offset !== last.offset + 1) {
      this.faults.push(`${entry.offset} came after ${last?.offset}`);
    }
    this.position = { epoch: last?.epoch ?? "", offset: entry.offset, tag: entry.tag };
    this.received.push(`${entry.offset} ${new TextDecoder().decode(entry.data)}`);
  }

  /** Drops the connection; another join may follow. */
  drop(): void {
    this.membership?.leave();
    this.group?.delete(this);
    this.#begun = false;
    this.#live = false;
  }
}
