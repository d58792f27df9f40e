import { getRandomValues } from "node:crypto";
import type { BackendServiceId, Endpoint } from "@holdfast/routing";
import type { EndpointDownEvent, EndpointUpEvent } from "../events.ts";
import { EndpointState } from "./endpoint-state.ts";
import { endpointsById } from "./endpoints-by-id.ts";
import { type Hash64, mix32 } from "./hash.ts";
import { dealSlots, keyOnSlot, SLOTS, slotOf } from "./maglev.ts";

export interface EndpointTableOptions {
  readonly backendService: BackendServiceId;
  /** Milliseconds that an endpoint is passed over for the first time; each further time in a row twice as long. */
  readonly passiveDownMs: number;
  /** The longest that an endpoint is passed over at a time, in milliseconds. */
  readonly maxPassiveDownMs: number;
  /** Connections in a row that an endpoint may end instead of answering before it is passed over. */
  readonly maxResets: number;
  readonly onEvent: (event: EndpointDownEvent | EndpointUpEvent) => void;
}

/**
 * The endpoints of one backend service, and which of them a key falls on.
 *
 * Slots are dealt to all members, healthy or not: a key whose owner can't be used is sent to another one by
 * rendezvous hashing until it can. So a failure moves the failed one's keys alone, they spread over all survivors,
 * and each returns when its owner does. It is a function of the members and their health only; so any number of
 * ingresses agree, and none has to remember anything.
 */
export class EndpointTable {
  readonly #options: EndpointTableOptions;
  /** Ordered by id, so that every ingress deals the same slots. */
  #members: readonly EndpointState[] = [];
  #leaving: readonly EndpointState[] = [];
  #healthy: readonly EndpointState[] = [];
  /** Healthy and not passed over. */
  #preferred: readonly EndpointState[] = [];
  #slots = dealSlots([]);
  /** Starts anywhere, lest every worker and restart begin with the same endpoint. */
  #turn = random32();
  readonly #downTimers = new Map<EndpointState, NodeJS.Timeout>();

  constructor(options: EndpointTableOptions) {
    this.#options = options;
  }

  /**
   * Replaces the members. What is known of those that stay is kept. Those that left are `leaving` until they are
   * dismissed, or until their ip:port is a member again.
   *
   * @returns the members that left
   * @throws IngressError `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY`; the members are as before
   */
  set(endpoints: readonly Endpoint[]): readonly EndpointState[] {
    const wanted = endpointsById(this.#options.backendService, endpoints);
    const before = new Map(this.#members.map((member) => [member.id, member]));
    const left = this.#members.filter((member) => !wanted.has(member.id));
    const members: EndpointState[] = [];
    const recovered: EndpointState[] = [];
    for (const [id, endpoint] of wanted) {
      const member = before.get(id);
      if (!member) {
        members.push(new EndpointState(id, endpoint));
        continue;
      }
      if (endpoint.healthy && !member.endpoint.healthy) recovered.push(member);
      member.endpoint = endpoint;
      members.push(member);
    }
    for (const member of left) {
      member.removed = true;
      this.#clearDown(member);
    }
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    if (left.length > 0 || members.length !== this.#members.length) {
      this.#slots = dealSlots(members.map(({ id }) => id));
    }
    this.#members = members;
    if (left.length > 0 || this.#leaving.some(({ id }) => wanted.has(id))) {
      this.#leaving = [...this.#leaving, ...left].filter(({ id }) => !wanted.has(id));
    }
    this.#healthy = members.filter(({ healthy }) => healthy);
    this.#prefer();
    for (const member of recovered) this.#succeeded(member, "healthy");
    return left;
  }

  /** All members, healthy or not, ordered by id. Another array each time that a member came or went, or its endpoint was given anew. */
  get members(): readonly EndpointState[] {
    return this.#members;
  }

  /**
   * Those that were removed and have still time for what is open on them. They get nothing new, but what only they can
   * serve. Another array with each change.
   */
  get leaving(): readonly EndpointState[] {
    return this.#leaving;
  }

  /** Its draining time is over. */
  dismiss(member: EndpointState): void {
    this.#leaving = this.#leaving.filter((one) => one !== member);
  }

  /** Whether this very endpoint can be given the request. */
  canTake(member: EndpointState, tried: ReadonlySet<EndpointState>): boolean {
    return member.healthy && !member.down && !member.removed && !tried.has(member);
  }

  /** The endpoint that a key belongs to, whether it can be used or not. */
  homeOf(key: Hash64): EndpointState | undefined {
    return this.#members[this.#slots[slotOf(key)] ?? 0];
  }

  /** The endpoint that a key is served by: its home or, while that can't be used, the same other one each time. */
  ownerOf(key: Hash64, tried: ReadonlySet<EndpointState>): EndpointState | undefined {
    const home = this.homeOf(key);
    if (home && this.canTake(home, tried)) return home;
    let best: EndpointState | undefined;
    let bestScore = -1;
    for (const member of this.#candidates(tried)) {
      const score = mix32(mix32(key.hi ^ member.hash.hi) ^ key.lo ^ member.hash.lo);
      if (score > bestScore) {
        best = member;
        bestScore = score;
      }
    }
    return best;
  }

  /** The next endpoint by turns. */
  next(tried: ReadonlySet<EndpointState>): EndpointState | undefined {
    const candidates = this.#candidates(tried);
    if (candidates.length === 0) return undefined;
    this.#turn = (this.#turn + 1) % 0x1_0000_0000;
    return candidates[this.#turn % candidates.length];
  }

  /** The one with fewer open requests of two that are drawn: nearly as even as asking all, and no herd. */
  pickLessLoaded(tried: ReadonlySet<EndpointState>): EndpointState | undefined {
    const candidates = this.#candidates(tried);
    const count = candidates.length;
    if (count < 2) return candidates[0];
    const index = random32() % count;
    const one = candidates[index];
    const other = candidates[(index + 1 + (random32() % (count - 1))) % count];
    return one && other && other.open < one.open ? other : one;
  }

  /** A new random key that falls on this member. */
  mintKey(member: EndpointState): Hash64 {
    const index = this.#members.indexOf(member);
    let slot = random32() % SLOTS;
    // Every member owns a slot, so this ends; it takes as many steps as there are members, on average.
    if (index !== -1) while (this.#slots[slot] !== index) slot = (slot + 1 + (random32() % 64)) % SLOTS;
    return keyOnSlot({ hi: random32(), lo: random32() }, slot);
  }

  /** The endpoint could not be connected to: others are preferred to it for a while. */
  connectFailed(member: EndpointState, cause: string): void {
    this.#passOver(member, "connect", cause);
  }

  connected(member: EndpointState): void {
    if (member.strikes > 0 && member.downFor !== "reset" && member.resets === 0) {
      this.#succeeded(member, "connected");
    }
  }

  /**
   * The endpoint took a request and ended the connection, with no byte of an answer. After a few in a row others are
   * preferred to it for a while. Not to be told of a connection that was kept from an earlier request: that one the
   * endpoint may have closed before it knew of this request.
   */
  closedUnanswered(member: EndpointState, cause: string): void {
    member.resets++;
    // Once its time is up it has one chance: a single failure more, and it is passed over for longer.
    if (member.resets >= this.#options.maxResets) this.#passOver(member, "reset", cause);
  }

  /** The endpoint has begun to answer, whatever it says. */
  answered(member: EndpointState): void {
    if (member.strikes > 0 || member.resets > 0) this.#succeeded(member, "answered");
  }

  /** When none is preferred all healthy ones are: a short failure of every pod must not outlast itself. */
  #candidates(tried: ReadonlySet<EndpointState>): readonly EndpointState[] {
    const preferred = without(this.#preferred, tried);
    return preferred.length > 0 ? preferred : without(this.#healthy, tried);
  }

  #passOver(member: EndpointState, reason: "connect" | "reset", cause: string): void {
    if (member.removed || member.down) return;
    const { passiveDownMs, maxPassiveDownMs, onEvent } = this.#options;
    const ms = Math.min(passiveDownMs * 2 ** Math.min(member.strikes, 30), maxPassiveDownMs);
    member.downFor = reason;
    member.strikes++;
    const timer = setTimeout(() => this.#markUp(member, "expired"), ms);
    this.#downTimers.set(member, timer.unref());
    this.#prefer();
    onEvent({ type: "endpoint-down", ...this.#describe(member), cause, ms });
  }

  #succeeded(member: EndpointState, cause: EndpointUpEvent["cause"]): void {
    member.strikes = 0;
    member.resets = 0;
    this.#markUp(member, cause);
  }

  #markUp(member: EndpointState, cause: EndpointUpEvent["cause"]): void {
    if (!member.down) return;
    this.#clearDown(member);
    this.#prefer();
    this.#options.onEvent({ type: "endpoint-up", ...this.#describe(member), cause });
  }

  #clearDown(member: EndpointState): void {
    member.downFor = undefined;
    clearTimeout(this.#downTimers.get(member));
    this.#downTimers.delete(member);
  }

  #prefer(): void {
    this.#preferred = this.#healthy.filter(({ down }) => !down);
  }

  #describe(member: EndpointState) {
    return {
      backendService: this.#options.backendService,
      pod: member.endpoint.pod,
      endpoint: member.id,
    };
  }
}

function without(
  members: readonly EndpointState[],
  tried: ReadonlySet<EndpointState>,
): readonly EndpointState[] {
  return tried.size === 0 ? members : members.filter((member) => !tried.has(member));
}

const pool = new Uint32Array(1024);
let poolAt = pool.length;

/** A random unsigned 32-bit number; drawn in bulk, since one call into the generator costs as much as a thousand. */
function random32(): number {
  if (poolAt === pool.length) {
    getRandomValues(pool);
    poolAt = 0;
  }
  return pool[poolAt++] ?? 0;
}
