import { LEASES_PER_FRAME, type LeaseAnswer } from "./lease-messages.ts";
import type { Lease, LeaseEvent, LeaseTable } from "./lease-table.ts";
import { PAGE_BYTES } from "./limits.ts";
import type { Subscription } from "./port.ts";

/** The groups of leases that one connection of a served broker follows. */
export class PeerLeases {
  readonly #table: LeaseTable;
  readonly #send: (answer: LeaseAnswer) => void;
  readonly #followed = new Map<number, { open: boolean; subscription: Subscription | undefined }>();

  constructor(table: LeaseTable, send: (answer: LeaseAnswer) => void) {
    this.#table = table;
    this.#send = send;
  }

  get size(): number {
    return this.#followed.size;
  }

  /** The answer is the subscription's own first event, so that it can't be overtaken by a change. */
  async follow(id: number, group: string): Promise<void> {
    this.unfollow(id);
    const followed = { open: true, subscription: undefined as Subscription | undefined };
    this.#followed.set(id, followed);
    try {
      const subscription = await this.#table.follow(group, (event) => {
        if (followed.open) this.#forward(id, event);
      });
      if (followed.open) followed.subscription = subscription;
      else await subscription.close();
    } catch (error) {
      if (!followed.open) return;
      this.#followed.delete(id);
      throw error;
    }
  }

  unfollow(id: number): void {
    const followed = this.#followed.get(id);
    if (!followed) return;
    followed.open = false;
    this.#followed.delete(id);
    // Nothing is left to do about one that can't be closed: its events are dropped already.
    followed.subscription?.close().catch(() => undefined);
  }

  end(): void {
    for (const id of [...this.#followed.keys()]) this.unfollow(id);
  }

  /** In frames of about a page each. */
  sendAll(id: number, leases: readonly Lease[]): void {
    let part: Lease[] = [];
    let bytes = 0;
    for (const lease of leases) {
      if (part.length >= LEASES_PER_FRAME || bytes >= PAGE_BYTES) {
        this.#send({ type: "leases", id, more: true, leases: part });
        [part, bytes] = [[], 0];
      }
      part.push(lease);
      bytes += lease.value.length;
    }
    this.#send({ type: "leases", id, more: false, leases: part });
  }

  #forward(id: number, event: LeaseEvent): void {
    if (event.type === "leases") this.sendAll(id, event.leases);
    else this.#send({ type: "change", id, event });
  }
}
