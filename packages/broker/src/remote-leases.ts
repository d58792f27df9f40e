import { BrokerError } from "./errors.ts";
import type { LeaseAnswer, LeaseRequest } from "./lease-messages.ts";
import type { Lease, LeaseEvent, LeasePut, LeaseTable, LeaseWrite } from "./lease-table.ts";
import { checkLeasePlace, checkLeaseWrite, checkOwner } from "./limits.ts";
import type { Subscription } from "./port.ts";
import type { Answer } from "./requests.ts";

type Asked = Exclude<LeaseRequest, { readonly type: "follow" | "unfollow" }>;
type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

/** What the leases need of their connection. */
export interface LeaseLink {
  /** Asks and awaits the answer, also over a connection that is made again meanwhile. */
  ask(request: WithoutId<Asked>): Promise<Answer>;
  /** Sends now, or drops it while there is no connection. */
  send(request: LeaseRequest): void;
  /** The id of the next request. */
  nextId(): number;
  refuse(): void;
  readonly onListenerError: (error: unknown) => void;
  readonly requestMs: number;
}

interface Follow {
  readonly group: string;
  readonly listener: (event: LeaseEvent) => void;
  /** Leases of a picture that is not whole yet. */
  parts: Lease[];
  /** Whoever waits for the first picture. */
  waiting: { readonly resolve: () => void; readonly reject: (error: BrokerError) => void } | undefined;
}

const RETRY_MS = 200;

/** The leases of a served broker. */
export class RemoteLeases implements LeaseTable {
  readonly #link: LeaseLink;
  readonly #follows = new Map<number, Follow>();

  constructor(link: LeaseLink) {
    this.#link = link;
  }

  async renew(owner: string, ttlMs: number): Promise<number> {
    this.#link.refuse();
    checkOwner(owner, ttlMs);
    const answer = await this.#link.ask({ type: "renew", owner, ttlMs });
    return answer.type === "renewed" ? answer.count : unexpected();
  }

  async put(write: LeaseWrite): Promise<LeasePut> {
    this.#link.refuse();
    checkLeaseWrite(write);
    const answer = await this.#link.ask({ type: "put", write });
    if (answer.type !== "lease-put") return unexpected();
    const { put } = answer;
    // It was sent again because its answer was lost, and met what it had written itself.
    if (put.type === "refused" && put.lease && isOf(write, put.lease))
      return { type: "put", version: put.lease.version };
    return put;
  }

  async remove(owner: string, group: string, key: string): Promise<boolean> {
    this.#link.refuse();
    checkOwner(owner);
    checkLeasePlace(group, key);
    const answer = await this.#link.ask({ type: "remove", owner, group, key });
    return answer.type === "removed" ? answer.had : unexpected();
  }

  async release(owner: string): Promise<void> {
    this.#link.refuse();
    checkOwner(owner);
    await this.#link.ask({ type: "release", owner });
  }

  async list(group: string): Promise<readonly Lease[]> {
    this.#link.refuse();
    checkLeasePlace(group);
    const answer = await this.#link.ask({ type: "list", group });
    return answer.type === "leases" ? answer.leases : unexpected();
  }

  async follow(group: string, listener: (event: LeaseEvent) => void): Promise<Subscription> {
    this.#link.refuse();
    checkLeasePlace(group);
    const id = this.#link.nextId();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const follow: Follow = { group, listener, parts: [], waiting: { resolve, reject } };
    this.#follows.set(id, follow);
    this.#link.send({ type: "follow", id, group });
    const late = new BrokerError("BROKER_UNAVAILABLE", "No answer in time.");
    const timer = setTimeout(() => this.#fail(id, late), this.#link.requestMs);
    await promise.finally(() => clearTimeout(timer));
    return { close: async () => this.#leave(id) };
  }

  /** There is a connection, which knows of none of these. */
  up(): void {
    for (const [id, follow] of this.#follows) {
      follow.parts = [];
      this.#link.send({ type: "follow", id, group: follow.group });
    }
  }

  /** @returns whether it belongs to a group that is followed here. */
  take(answer: Extract<LeaseAnswer, { readonly type: "leases" | "change" }>): boolean {
    const follow = this.#follows.get(answer.id);
    if (!follow) return false;
    this.#takeInto(follow, answer);
    return true;
  }

  #takeInto(follow: Follow, answer: Extract<LeaseAnswer, { readonly type: "leases" | "change" }>): void {
    if (answer.type === "change") {
      this.#tell(follow, answer.event);
      return;
    }
    follow.parts.push(...answer.leases);
    if (answer.more) return;
    const leases = follow.parts;
    follow.parts = [];
    this.#tell(follow, { type: "leases", leases });
    follow.waiting?.resolve();
    follow.waiting = undefined;
  }

  /**
   * The server could not follow. Who was told nothing yet is refused; for the others it is asked again.
   *
   * @returns whether the id is that of a group that is followed here.
   */
  refused(id: number, error: BrokerError): boolean {
    const follow = this.#follows.get(id);
    if (!follow) return false;
    if (follow.waiting) this.#fail(id, error);
    else setTimeout(() => this.#again(id), RETRY_MS).unref();
    return true;
  }

  /** Those who wait for their first picture are refused. */
  rejectWaiters(error: BrokerError): void {
    for (const [id, { waiting }] of [...this.#follows]) if (waiting) this.#fail(id, error);
  }

  end(error: BrokerError): void {
    this.rejectWaiters(error);
    this.#follows.clear();
  }

  #again(id: number): void {
    const follow = this.#follows.get(id);
    if (follow) this.#link.send({ type: "follow", id, group: follow.group });
  }

  #fail(id: number, error: BrokerError): void {
    const follow = this.#follows.get(id);
    this.#leave(id);
    follow?.waiting?.reject(error);
  }

  #leave(id: number): void {
    if (this.#follows.delete(id)) this.#link.send({ type: "unfollow", id });
  }

  #tell({ listener }: Follow, event: LeaseEvent): void {
    try {
      listener(event);
    } catch (error) {
      this.#link.onListenerError(error);
    }
  }
}

function isOf({ owner, value, when }: LeaseWrite, lease: Lease): boolean {
  return lease.owner === owner && lease.version > when.version && Buffer.compare(value, lease.value) === 0;
}

function unexpected(): never {
  throw new BrokerError("BROKER_UNAVAILABLE", "The server gave an answer to another question.");
}
