import { getRandomValues } from "node:crypto";
import { isIP } from "node:net";
import type { BackendServiceId, Endpoint } from "@holdfast/routing";
import { IngressError } from "../errors.ts";
import type { EndpointDownEvent, EndpointUpEvent } from "../events.ts";
import { EndpointState, endpointId } from "./endpoint-state.ts";
import { type Hash64, mix32 } from "./hash.ts";
import { dealSlots, keyOnSlot, SLOTS, slotOf } from "./maglev.ts";

/** With more the shares of a table would become uneven (one part in sixteen). */
const MAX_ENDPOINTS = 4_096;

export interface EndpointTableOptions {
  readonly backendService: BackendServiceId;
  readonly passiveDownMs: number;
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
   * Replaces the members. What is known of those that stay is kept.
   *
   * @returns the members that left
   * @throws IngressError `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY`; the members are as before
   */
  set(endpoints: readonly Endpoint[]): readonly EndpointState[] {
    const { backendService } = this.#options;
    if (endpoints.length > MAX_ENDPOINTS) {
      throw new IngressError(
        "ENDPOINTS_TOO_MANY",
        `${backendService} has ${endpoints.length} endpoints; ${MAX_ENDPOINTS} are the most`,
      );
    }
    const wanted = new Map<string, Endpoint>();
    for (const endpoint of endpoints) {
      const id = endpointId(endpoint);
      if (isIP(endpoint.address) === 0 || !isPort(endpoint.port)) {
        throw new IngressError(
          "ENDPOINT_INVALID",
          `${backendService}: ${id} is not an IP address and a port`,
        );
      }
      if (wanted.has(id)) {
        throw new IngressError("ENDPOINT_INVALID", `${backendService} has the endpoint ${id} twice`);
      }
      wanted.set(id, endpoint);
    }

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
      this.#forget(member);
    }
    members.sort((a, b) => (a.id < b.id ? -1 : 1));
    if (left.length > 0 || members.length !== this.#members.length) {
      this.#slots = dealSlots(members.map(({ id }) => id));
    }
    this.#members = members;
    this.#healthy = members.filter(({ endpoint }) => endpoint.healthy);
    this.#prefer();
    for (const member of recovered) this.#markUp(member, "healthy");
    return left;
  }

  /** The endpoint that a key belongs to, whether it can be used or not. */
  homeOf(key: Hash64): EndpointState | undefined {
    return this.#members[this.#slots[slotOf(key)] ?? 0];
  }

  /** The endpoint that a key is served by: its home or, while that can't be used, the same other one each time. */
  ownerOf(key: Hash64, tried: ReadonlySet<EndpointState>): EndpointState | undefined {
    const home = this.homeOf(key);
    if (home?.endpoint.healthy && !home.down && !tried.has(home)) return home;
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
    if (member.removed || member.down) return;
    member.down = true;
    const timer = setTimeout(() => this.#markUp(member, "expired"), this.#options.passiveDownMs);
    this.#downTimers.set(member, timer.unref());
    this.#prefer();
    this.#options.onEvent({ type: "endpoint-down", ...this.#describe(member), cause });
  }

  connected(member: EndpointState): void {
    if (member.down) this.#markUp(member, "connected");
  }

  /** When none is preferred all healthy ones are: a short failure of every pod must not outlast itself. */
  #candidates(tried: ReadonlySet<EndpointState>): readonly EndpointState[] {
    const preferred = without(this.#preferred, tried);
    return preferred.length > 0 ? preferred : without(this.#healthy, tried);
  }

  #markUp(member: EndpointState, cause: EndpointUpEvent["cause"]): void {
    if (!member.down) return;
    this.#forget(member);
    this.#prefer();
    this.#options.onEvent({ type: "endpoint-up", ...this.#describe(member), cause });
  }

  #forget(member: EndpointState): void {
    member.down = false;
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

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
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
