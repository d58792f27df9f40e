/** What was accepted and what each subscriber was given: enough to say whether anything was lost, doubled or reordered. */
export interface Delivery {
  readonly offset: number;
  readonly id: string;
}

export class History {
  readonly #accepted = new Map<string, Map<number, string>>();
  readonly #delivered = new Map<string, Map<string, Delivery[]>>();

  /** The API answered that message `id` is at `offset` of `channel`. */
  accepted(channel: string, offset: number, id: string): void {
    const log = within(this.#accepted, channel, () => new Map<number, string>());
    const other = log.get(offset);
    if (other !== undefined && other !== id) {
      throw new Error(`the API gave offset ${offset} of ${channel} to both ${other} and ${id}`);
    }
    log.set(offset, id);
  }

  /** Declares a subscriber of a channel, so that one that is given nothing at all is found too. */
  subscribed(subscriber: string, channel: string): void {
    within(
      within(this.#delivered, subscriber, () => new Map<string, Delivery[]>()),
      channel,
      () => [],
    );
  }

  delivered(subscriber: string, channel: string, delivery: Delivery): void {
    this.subscribed(subscriber, channel);
    this.#delivered.get(subscriber)?.get(channel)?.push(delivery);
  }

  /** Whether every subscriber was given at least as many messages as its channels hold. */
  complete(): boolean {
    return this.#each().every(({ log, deliveries }) => deliveries.length >= log.size);
  }

  acceptedCount(): number {
    return [...this.#accepted.values()].reduce((sum, log) => sum + log.size, 0);
  }

  deliveredCount(): number {
    return this.#each().reduce((sum, { deliveries }) => sum + deliveries.length, 0);
  }

  /** Every way in which what was delivered differs from the accepted log: empty when each has all, once, in order. */
  violations(): string[] {
    const found: string[] = [];
    for (const [channel, log] of this.#accepted) {
      for (let offset = 1; offset <= log.size; offset += 1) {
        if (!log.has(offset))
          found.push(`${channel}: nothing was accepted at offset ${offset} of ${log.size}`);
      }
    }
    for (const { subscriber, channel, log, deliveries } of this.#each()) {
      const expected = [...log].sort(([a], [b]) => a - b);
      const length = Math.max(expected.length, deliveries.length);
      for (let index = 0; index < length; index += 1) {
        const [offset, id] = expected[index] ?? [];
        const got = deliveries[index];
        if (got?.offset === offset && got?.id === id) continue;
        const wanted = id === undefined ? "nothing" : `${offset} (${id})`;
        const was = got === undefined ? "nothing" : `${got.offset} (${got.id})`;
        found.push(`${subscriber} in ${channel}, delivery ${index + 1}: expected ${wanted}, got ${was}`);
        break;
      }
    }
    return found;
  }

  #each() {
    return [...this.#delivered].flatMap(([subscriber, channels]) =>
      [...channels].map(([channel, deliveries]) => ({
        subscriber,
        channel,
        deliveries,
        log: this.#accepted.get(channel) ?? new Map<number, string>(),
      })),
    );
  }
}

function within<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const present = map.get(key);
  if (present !== undefined) return present;
  const made = make();
  map.set(key, made);
  return made;
}
