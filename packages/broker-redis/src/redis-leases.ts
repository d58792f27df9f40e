import {
  BrokerError,
  type Lease,
  type LeaseEvent,
  type LeasePut,
  type LeaseTable,
  type LeaseWrite,
  type Subscription,
} from "@holdfast/broker";
import { checkLeasePlace, checkLeaseWrite, checkOwner } from "@holdfast/broker/engine";
import { repeatable } from "./command-link.ts";
import type { Argument, Reply } from "./connection.ts";
import { LeaseFollow, readLease } from "./lease-follow.ts";
import { LIST, PUT, RELEASE, REMOVE, RENEW, SWEEP } from "./lease-scripts.ts";
import { brokerError } from "./redis-error.ts";
import type { Router } from "./router.ts";
import type { Script } from "./scripts.ts";

export interface LeaseHost {
  readonly router: Router;
  /** Where all leases are. */
  readonly partition: number;
  /** That partition's key, with the leases' own suffix. */
  readonly key: string;
  readonly requestMs: number;
  readonly maxLeases: number;
  /** @throws BrokerError `BROKER_CLOSED` */
  refuse(): void;
  readonly onListenerError: (error: unknown) => void;
}

/** How late followers hear of a lease whose time is over, at most, and how often there is a look at the least. */
const SWEEP_MS = [50, 1000] as const;

/** The leases in Redis. Whoever uses them also drops what is past its time, and tells the others. */
export class RedisLeases implements LeaseTable {
  readonly #host: LeaseHost;
  readonly #follows = new Map<string, LeaseFollow>();
  #sweep: NodeJS.Timeout | undefined;
  #sweepAt = 0;
  #closed = false;

  constructor(host: LeaseHost) {
    this.#host = host;
  }

  async renew(owner: string, ttlMs: number): Promise<number> {
    this.#host.refuse();
    checkOwner(owner, ttlMs);
    this.#sweepIn(ttlMs);
    return Number(await this.#call(RENEW, [owner, ttlMs]));
  }

  async put(write: LeaseWrite): Promise<LeasePut> {
    this.#host.refuse();
    checkLeaseWrite(write);
    const { owner, ttlMs, group, key, lingerMs, when } = write;
    const value = Buffer.from(write.value);
    this.#sweepIn(ttlMs);
    const { maxLeases } = this.#host;
    const args = [owner, ttlMs, group, key, value, lingerMs, when.type, when.version, maxLeases];
    const reply = await this.#call(PUT, args);
    const [what, first, taken] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
    switch (String(what)) {
      case "put": {
        const takenFrom = String(taken);
        return { type: "put", version: Number(first), ...(takenFrom !== "" && { takenFrom }) };
      }
      case "refused": {
        const lease = Buffer.isBuffer(first) ? readLease(group, key, first) : undefined;
        // It was sent again because its answer was lost, and met what it had written itself.
        return lease && isOf(owner, value, when.version, lease)
          ? { type: "put", version: lease.version }
          : { type: "refused", lease };
      }
      case "limit":
        throw new BrokerError("LEASE_LIMIT", String(first) || undefined);
      default:
        throw new BrokerError("BROKER_UNAVAILABLE", "The script gave another answer than it should.");
    }
  }

  async remove(owner: string, group: string, key: string): Promise<boolean> {
    this.#host.refuse();
    checkOwner(owner);
    checkLeasePlace(group, key);
    return (await this.#call(REMOVE, [owner, group, key])) === 1;
  }

  async release(owner: string): Promise<void> {
    this.#host.refuse();
    checkOwner(owner);
    await this.#call(RELEASE, [owner]);
  }

  async list(group: string): Promise<readonly Lease[]> {
    this.#host.refuse();
    checkLeasePlace(group);
    return (await this.#list(group)).leases;
  }

  async follow(group: string, listener: (event: LeaseEvent) => void): Promise<Subscription> {
    this.#host.refuse();
    checkLeasePlace(group);
    let follow = this.#follows.get(group);
    if (!follow) {
      follow = new LeaseFollow(group, {
        list: () => this.#list(group),
        empty: () => this.#leave(group),
        onListenerError: this.#host.onListenerError,
        waitMs: this.#host.requestMs,
      });
      this.#follows.set(group, follow);
      this.#host.router.follow(this.#host.partition, this.#channelOf(group));
    }
    this.#sweepIn(0);
    return follow.join(listener);
  }

  /** The group of a PUB/SUB channel, if it is one of leases. */
  groupOf(channel: string): string | undefined {
    const prefix = this.#channelOf("");
    return channel.startsWith(prefix) ? channel.slice(prefix.length) : undefined;
  }

  following(group: string): void {
    this.#follows.get(group)?.following();
  }

  away(group: string): void {
    this.#follows.get(group)?.away();
  }

  changed(group: string, message: Buffer): void {
    this.#follows.get(group)?.take(message);
  }

  end(error: BrokerError): void {
    this.#closed = true;
    clearTimeout(this.#sweep);
    for (const follow of this.#follows.values()) follow.end(error);
    this.#follows.clear();
  }

  #leave(group: string): void {
    if (this.#follows.delete(group)) this.#host.router.unfollow(this.#host.partition, this.#channelOf(group));
  }

  #channelOf(group: string): string {
    return `${this.#host.key}c ${group}`;
  }

  async #list(group: string): Promise<{ readonly count: number; readonly leases: readonly Lease[] }> {
    const reply = await this.#call(LIST, [group]);
    const [count, ...rest] = Array.isArray(reply) ? (reply as readonly Reply[]) : [];
    const leases: Lease[] = [];
    for (let at = 0; at + 1 < rest.length; at += 2) {
      const packed = rest[at + 1];
      if (Buffer.isBuffer(packed)) leases.push(readLease(group, String(rest[at]), packed));
    }
    leases.sort((x, y) => (x.key < y.key ? -1 : 1));
    return { count: Number(count), leases };
  }

  async #call(script: Script, args: readonly Argument[]): Promise<Reply> {
    const { router, partition, requestMs } = this.#host;
    this.#sweepIn(SWEEP_MS[1]);
    const deadline = performance.now() + requestMs;
    try {
      const call = script.call(this.#keys(), [router.sharded ? 1 : 0, ...args]);
      return await router.run(
        partition,
        repeatable(() => call, deadline),
      );
    } catch (error) {
      throw brokerError(error);
    }
  }

  /**
   * Scripts find most of their keys only as they run. So one is declared that is never there: while the slot moves, the
   * server answers TRYAGAIN or ASK, since it may be elsewhere already, and no script ever sees a part of the leases.
   */
  #keys(): readonly string[] {
    const { router, key } = this.#host;
    return router.sharded ? [key, `${key}~`] : [key];
  }

  /** At the latest in so many milliseconds, but not at once. */
  #sweepIn(ms: number): void {
    const wait = Math.min(SWEEP_MS[1], Math.max(SWEEP_MS[0], ms));
    const at = performance.now() + wait;
    if (this.#closed || (this.#sweep && this.#sweepAt <= at)) return;
    clearTimeout(this.#sweep);
    this.#sweepAt = at;
    // Nodes that look at different times share the work.
    this.#sweep = setTimeout(() => void this.#sweepOnce(), wait * (1 + Math.random() / 4));
    this.#sweep.unref();
  }

  async #sweepOnce(): Promise<void> {
    const { router, partition, requestMs } = this.#host;
    let next: number = SWEEP_MS[1];
    this.#sweep = undefined;
    try {
      const deadline = performance.now() + requestMs;
      const call = SWEEP.call(this.#keys(), [router.sharded ? 1 : 0]);
      const due = Number(
        await router.run(
          partition,
          repeatable(() => call, deadline),
        ),
      );
      if (due >= 0) next = due;
    } catch {
      // The broker's state says that it can't be reached; what is over is over for every reader all the same.
    }
    this.#sweepIn(next);
  }
}

function isOf(owner: string, value: Uint8Array, version: number, lease: Lease): boolean {
  return lease.owner === owner && lease.version > version && Buffer.compare(value, lease.value) === 0;
}
