import { createHash } from "node:crypto";
import { type Broker, type Lease, LeaseOwner, type Subscription } from "@holdfast/broker";
import { HubError } from "../errors.ts";
import type { PresenceEvent } from "./presence-events.ts";
import { PresenceRecord } from "./presence-record.ts";
import { PresenceRoll } from "./presence-roll.ts";
import { decodeMember, encodeMember, type PresentMember } from "./present-member.ts";

export interface PresenceOptions {
  /** This node's name. */
  readonly node: string;
  /** Milliseconds after which a node that gives no sign of life is taken for dead; its connections have then broken off. Default 15,000. */
  readonly ttlMs?: number;
  /**
   * How long a connection that broke off, or whose node did, is still shown, in milliseconds, so that one that comes back
   * does not leave and join. Default 5,000.
   */
  readonly graceMs?: number;
}

const DEFAULTS = { ttlMs: 15_000, graceMs: 5_000 };
const TTL_MS = [100, 3_600_000] as const;
const GRACE_MS = [0, 3_600_000] as const;
const GROUP = "holdfast:presence:";
const MAX_NAME = 200;

/**
 * Who is in a channel, over all nodes: one lease for each connection, kept by the node that it is connected to.
 *
 * A node that was killed takes its connections' records with it, within `ttlMs` and `graceMs`. One that was only slow, or away from the
 * broker, puts its own back, and followers are told so. A record follows its connection to another node.
 */
export class Presence {
  readonly #broker: Broker;
  readonly #settings: Required<PresenceOptions>;
  /** Made for the first record: who only looks has nothing to renew. */
  #owner: LeaseOwner | undefined;
  readonly #records = new Map<string, PresenceRecord>();
  readonly #subscriptions = new Set<Subscription>();
  #closed = false;

  /** @throws HubError `HUB_OPTION_INVALID` */
  constructor(broker: Broker, options: PresenceOptions) {
    this.#settings = readPresenceOptions(options);
    this.#broker = broker;
  }

  /** Records that this node keeps. */
  get size(): number {
    return this.#records.size;
  }

  /**
   * Shows a connection of this node as present, from now on until it leaves; called again, with what is given now.
   * Rejects with the first failure to write it, which is repeated until it is written.
   *
   * @throws HubError `PRESENCE_INVALID`, `HUB_CLOSED`; BrokerError as `LeaseTable.put` does
   */
  async enter(channel: string, member: PresentMember): Promise<void> {
    if (this.#closed) throw new HubError("HUB_CLOSED");
    const group = groupOf(channel);
    const value = encodeMember(member);
    const place = placeOf(group, member.connection);
    let record = this.#records.get(place);
    if (!record) {
      const made: PresenceRecord = new PresenceRecord(
        this.#ownership(),
        group,
        member.connection,
        this.#settings.graceMs,
        () => {
          if (this.#records.get(place) === made) this.#records.delete(place);
        },
      );
      record = made;
      this.#records.set(place, record);
    }
    await record.want(value);
  }

  /**
   * A connection of this node leaves: at once, or, where it broke off and may come back, after `graceMs`.
   *
   * @throws BrokerError as `LeaseTable.remove` does; it is repeated until it is done.
   */
  async leave(channel: string, connection: string, reason: "left" | "broke-off" = "left"): Promise<void> {
    const { graceMs } = this.#settings;
    const record = this.#records.get(placeOf(groupOf(channel), connection));
    if (reason === "broke-off" && graceMs > 0) record?.removeAfter(graceMs);
    else await record?.remove();
  }

  /** Everybody in a channel, on all nodes. @throws BrokerError as `LeaseTable.list` does */
  async members(channel: string): Promise<readonly PresentMember[]> {
    const leases = await this.#broker.leases.list(groupOf(channel));
    return leases.flatMap((lease: Lease) => decodeMember(lease) ?? []);
  }

  /**
   * Tells who is in a channel, before it resolves, and then each change, until closed. The listener must neither block
   * nor throw.
   *
   * @throws BrokerError as `LeaseTable.follow` does
   */
  async follow(channel: string, listener: (event: PresenceEvent) => void): Promise<Subscription> {
    if (this.#closed) throw new HubError("HUB_CLOSED");
    const roll = new PresenceRoll();
    const followed = await this.#broker.leases.follow(groupOf(channel), (event) => {
      for (const told of roll.take(event)) listener(told);
    });
    const subscription: Subscription = {
      close: async () => {
        this.#subscriptions.delete(subscription);
        await followed.close();
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  /** Everybody of this node leaves, nothing is followed any more. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const record of this.#records.values()) record.close();
    this.#records.clear();
    await Promise.all(
      [...this.#subscriptions].map((subscription) => subscription.close().catch(() => undefined)),
    );
    await this.#owner?.close();
  }

  #ownership(): LeaseOwner {
    const { node, ttlMs } = this.#settings;
    this.#owner ??= new LeaseOwner(this.#broker, {
      name: `presence.${node.replace(/[^A-Za-z0-9_.-]/g, "-").slice(0, 80)}`,
      ttlMs,
      onLost: ({ group, key }, lease) => this.#records.get(placeOf(group, key))?.lost(lease),
    });
    return this.#owner;
  }
}

function readPresenceOptions(options: PresenceOptions): Required<PresenceOptions> {
  for (const key of Object.keys(options))
    if (key !== "node" && !Object.hasOwn(DEFAULTS, key)) throw new HubError("HUB_OPTION_INVALID", key);
  const settings = { ...DEFAULTS, ...options };
  if (settings.node === "") throw new HubError("HUB_OPTION_INVALID", "node is empty");
  check("ttlMs", settings.ttlMs, TTL_MS);
  check("graceMs", settings.graceMs, GRACE_MS);
  return settings;
}

function check(name: string, value: number, [low, high]: readonly [number, number]): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  throw new HubError("HUB_OPTION_INVALID", `${name} must be a whole number from ${low} to ${high}`);
}

/** A channel's name may be as long as a group's, and the group's begins with more. */
function groupOf(channel: string): string {
  const group = `${GROUP}${channel}`;
  if (group.length <= MAX_NAME) return group;
  return `${GROUP}${createHash("sha256").update(channel).digest("base64url")}`;
}

/** Names hold no space. */
function placeOf(group: string, key: string): string {
  return `${group} ${key}`;
}
