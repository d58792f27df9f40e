import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { type Broker, type Lease, type LeaseEvent, LeaseOwner, type Subscription } from "@holdfast/broker";
import { nodeToken } from "../session-id.ts";
import { encodeNodeRecord, NODE_KEY_BYTES, type NodeRecord, readNodeRecord } from "./node-record.ts";

/** The lease group of all nodes; the key is the node's token. */
export const NODES_GROUP = "holdfast:nodes";

export interface MembershipOptions {
  readonly broker: Broker;
  /** This node's name: one of its own for each process that runs at the same time, the same after a restart. */
  readonly node: string;
  /** How long this node is taken as alive after its last sign of life, in milliseconds. Default 15 s. */
  readonly ttlMs?: number;
  /** Told what a person should know; must not throw. */
  readonly onEvent?: (event: MembershipEvent) => void;
}

export type MembershipEvent =
  /** Another process took this node's name: a second one was started under it, or this one was paused for long. */
  | { readonly type: "node-replaced"; readonly node: string; readonly by: string | undefined }
  /** A lease in the nodes' group that is no node's; that node is not a member. */
  | { readonly type: "node-unreadable"; readonly key: string; readonly owner: string }
  /** The nodes could not be followed or this one not announced. It is tried again until it is done. */
  | { readonly type: "membership-failed"; readonly error: unknown }
  /** The broker's engine has no leases, so this node knows of no other. */
  | { readonly type: "membership-missing"; readonly reason: string };

export type NodeChange =
  /** A node came, or said more about itself: `changed` is of the same process. */
  | { readonly type: "joined" | "changed"; readonly node: NodeRecord }
  | { readonly type: "left"; readonly node: NodeRecord };

type LostListener = (
  place: { readonly group: string; readonly key: string },
  lease: Lease | undefined,
) => void;

interface Member {
  readonly record: NodeRecord;
  readonly gone: PromiseWithResolvers<void>;
  /** Runs while the broker has lost the lease and the node may put it back. */
  grace?: NodeJS.Timeout;
}

const TTL_MS = 15_000;
const RETRY_MS = 500;

/**
 * Which nodes there are, and that this is one of them: a lease in the broker for each.
 *
 * A process that starts takes its name's lease over at once, from whoever had it: a dead process can't object, and one
 * that was only paused learns of it (`node-replaced`), keeps out, and comes back when its successor is gone. Whatever
 * the broker loses is put again. Nothing here waits for the broker: while it is away, the nodes are those known last.
 */
export class Membership {
  /** The owner of this process' leases, for other records that live as long as the process does. */
  readonly owner: LeaseOwner;
  readonly node: string;
  readonly token: string;
  /** This process: no other ever has the same. */
  readonly uid: string;
  /** What this process signs its session ids with. */
  readonly key: Uint8Array = randomBytes(NODE_KEY_BYTES);
  readonly #broker: Broker;
  readonly #ttlMs: number;
  readonly #onEvent: (event: MembershipEvent) => void;
  readonly #members = new Map<string, Member>();
  readonly #changed = new Set<(change: NodeChange) => void>();
  readonly #lost = new Set<LostListener>();
  readonly #ended = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  #place: { readonly address?: string; readonly path?: string } = {};
  /** What the lease is to say, and what it says as far as this process knows. */
  #wanted: Uint8Array;
  #written: Uint8Array | undefined;
  /** The version of whatever lease is under this node's key. */
  #seen = 0;
  #entered = false;
  #replaced = false;
  #following: Subscription | undefined;
  #writing: Promise<void> | undefined;

  /** Begins at once, in the background. @throws BrokerError `LEASE_INVALID` for `ttlMs` */
  constructor({ broker, node, ttlMs = TTL_MS, onEvent = () => {} }: MembershipOptions) {
    this.#broker = broker;
    this.#ttlMs = ttlMs;
    this.#onEvent = onEvent;
    this.node = node;
    this.token = nodeToken(node);
    this.owner = new LeaseOwner(broker, {
      name: this.token,
      ttlMs,
      onLost: (place, lease) => this.#onLost(place, lease),
    });
    this.uid = this.owner.id;
    this.#wanted = encodeNodeRecord(this.#own);
    this.#write();
  }

  /** Resolves once this node is a member and knows the others: at the earliest when the broker is there. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** The lease says all that this process told about itself. */
  get isAnnounced(): boolean {
    return !this.#replaced && this.#written === this.#wanted;
  }

  /** Nodes that live now, as far as the broker's word reaches; this one too, once it is a member. In no order. */
  nodes(): readonly NodeRecord[] {
    return Array.from(this.#members.values(), ({ record }) => record);
  }

  /** The node that has this token, if it lives. */
  find(token: string): NodeRecord | undefined {
    return this.#members.get(token)?.record;
  }

  /** Tells the others where this node's HTTP server is. Resolves once the broker has it; never rejects. */
  async announce(place: { readonly address: string; readonly path: string }): Promise<void> {
    this.#place = place;
    this.#wanted = encodeNodeRecord(this.#own);
    await this.#write();
  }

  /** Calls the listener with each change from now on. @returns ends it */
  onChange(listener: (change: NodeChange) => void): () => void {
    this.#changed.add(listener);
    return () => this.#changed.delete(listener);
  }

  /** Resolves once no living node is this process any more: at once for one that is not known. */
  whenGone(uid: string): Promise<void> {
    for (const { record, gone } of this.#members.values()) if (record.uid === uid) return gone.promise;
    return Promise.resolve();
  }

  /** Calls the listener with each lease of `owner` that is lost, this node's own place aside. @returns ends it */
  onLost(listener: LostListener): () => void {
    this.#lost.add(listener);
    return () => this.#lost.delete(listener);
  }

  /** Gives up this node's place and all leases of `owner`. Idempotent. */
  async close(): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    await this.#following?.close().catch(() => undefined);
    await this.owner.close();
    for (const token of [...this.#members.keys()]) this.#leave(token);
    await this.#writing;
    this.#changed.clear();
    this.#lost.clear();
    this.#ready.resolve();
  }

  get #own(): NodeRecord {
    const { uid, node, token, key } = this;
    return { uid, node, token, key, ...this.#place };
  }

  /** Brings the lease to what it is to say. One at a time; a call meanwhile is done by the one under way. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().then(() => {
      this.#writing = undefined;
      // It may have been told more in the very moment that it was done.
      return this.#isDue ? this.#write() : undefined;
    });
    return this.#writing;
  }

  get #isDue(): boolean {
    const isHere = !this.#ended.signal.aborted && this.#broker.abilities.leases === true;
    return isHere && !this.#replaced && this.#written !== this.#wanted;
  }

  async #writeAll(): Promise<void> {
    const { leases } = this.#broker.abilities;
    if (leases !== true) {
      this.#event({ type: "membership-missing", reason: leases });
      this.#ready.resolve();
      return;
    }
    while (this.#isDue) {
      try {
        await this.#follow();
        await this.#put(this.#wanted);
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        this.#event({ type: "membership-failed", error });
        const { signal } = this.#ended;
        await setTimeout(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined);
      }
    }
    if (this.isAnnounced) this.#ready.resolve();
  }

  async #follow(): Promise<void> {
    if (this.#following) return;
    const following = await this.#broker.leases.follow(NODES_GROUP, (event) => this.#take(event));
    this.#following = following;
    if (this.#ended.signal.aborted) await following.close();
  }

  async #put(wanted: Uint8Array): Promise<void> {
    const options = this.#entered ? {} : { expect: this.#seen };
    const put = await this.owner.put(NODES_GROUP, this.token, wanted, options);
    if (put.type === "put") {
      this.#entered = true;
      this.#written = wanted;
    } else if (this.#entered && put.lease?.owner !== this.uid) this.#giveWay(put.lease);
    else this.#seen = put.lease?.version ?? 0;
  }

  #onLost(place: { readonly group: string; readonly key: string }, lease: Lease | undefined): void {
    if (this.#ended.signal.aborted) return;
    if (place.group === NODES_GROUP && place.key === this.token) this.#giveWay(lease);
    else for (const listener of [...this.#lost]) listener(place, lease);
  }

  #giveWay(lease: Lease | undefined): void {
    if (this.#replaced) return;
    this.#replaced = true;
    this.#entered = false;
    this.#written = undefined;
    this.#event({ type: "node-replaced", node: this.node, by: lease?.owner });
    if (!lease) this.#comeBack();
  }

  /** Nobody has this node's name any more. */
  #comeBack(): void {
    if (!this.#replaced || this.#ended.signal.aborted) return;
    this.#replaced = false;
    this.#seen = 0;
    void this.#write();
  }

  #take(event: LeaseEvent): void {
    if (this.#ended.signal.aborted) return;
    if (event.type === "put") this.#join(event.lease);
    else if (event.type === "leases") {
      const keys = new Set(event.leases.map(({ key }) => key));
      for (const lease of event.leases) this.#join(lease);
      for (const [token, member] of this.#members) if (!keys.has(token)) this.#miss(token, member);
      if (!keys.has(this.token)) this.#vacant();
    } else {
      this.#leave(event.key);
      if (event.key === this.token) this.#vacant();
    }
  }

  #vacant(): void {
    this.#seen = 0;
    this.#comeBack();
  }

  #join(lease: Lease): void {
    if (lease.key === this.token) this.#seen = lease.version;
    const record = readNodeRecord(lease);
    const known = this.#members.get(lease.key);
    if (!record) {
      this.#event({ type: "node-unreadable", key: lease.key, owner: lease.owner });
      this.#leave(lease.key);
    } else if (known?.record.uid === record.uid) {
      clearTimeout(known.grace);
      this.#members.set(lease.key, { record, gone: known.gone });
      if (!isSame(record, known.record)) this.#tell({ type: "changed", node: record });
    } else {
      this.#leave(lease.key);
      this.#members.set(lease.key, { record, gone: Promise.withResolvers() });
      this.#tell({ type: "joined", node: record });
    }
  }

  /**
   * A broker that came back without its leases does not say that a node is gone; the nodes that live put theirs again.
   */
  #miss(token: string, member: Member): void {
    member.grace ??= startTimer(() => this.#leave(token), this.#ttlMs).unref();
  }

  #leave(token: string): void {
    const member = this.#members.get(token);
    if (!member) return;
    clearTimeout(member.grace);
    this.#members.delete(token);
    member.gone.resolve();
    this.#tell({ type: "left", node: member.record });
  }

  #tell(change: NodeChange): void {
    for (const listener of [...this.#changed]) listener(change);
  }

  #event(event: MembershipEvent): void {
    this.#onEvent(event);
  }
}

/** The timer of callbacks; the one of promises has its name here. */
const startTimer = globalThis.setTimeout;

function isSame(one: NodeRecord, other: NodeRecord): boolean {
  return one.address === other.address && one.path === other.path;
}
