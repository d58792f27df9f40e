import type { BackendServiceId } from "@holdfast/routing";

/** One endpoint of one backend service, for as long as it is a member. All its sessions share this object. */
interface Owner {
  /** ip:port */
  readonly endpoint: string;
  /** It was removed: its sessions are forgotten one by one as they are come upon, however many they are. */
  removed: boolean;
}

interface Session {
  readonly owner: Owner;
  /** Milliseconds on a clock that only goes forward. */
  usedAt: number;
}

/**
 * Which endpoint gave which session id, for servers whose ids don't say so. Bounded: the session that wasn't used for
 * the longest time is forgotten for a new one.
 */
export class SessionTable {
  readonly #max: number;
  readonly #idleMs: number;
  /** In the order of their last use. */
  readonly #sessions = new Map<string, Session>();
  readonly #owners = new Map<string, Owner>();

  /**
   * @param max sessions that are remembered; one takes some 300 bytes
   * @param idleMs for which a session that isn't used is remembered
   */
  constructor(max: number, idleMs: number) {
    this.#max = max;
    this.#idleMs = idleMs;
  }

  get size(): number {
    return this.#sessions.size;
  }

  learn(backendService: BackendServiceId, sid: string, endpoint: string): void {
    const now = performance.now();
    const key = keyOf(backendService, sid);
    this.#sessions.delete(key);
    this.#sessions.set(key, { owner: this.#ownerAt(backendService, endpoint), usedAt: now });
    // Two at most for each that comes, so no single request pays for many.
    let looked = 0;
    for (const [oldest, { usedAt }] of this.#sessions) {
      if (++looked > 2 || (this.#sessions.size <= this.#max && now - usedAt <= this.#idleMs)) break;
      this.#sessions.delete(oldest);
    }
  }

  /** The endpoint (ip:port) that gave the session id. */
  ownerOf(backendService: BackendServiceId, sid: string): string | undefined {
    const key = keyOf(backendService, sid);
    const session = this.#sessions.get(key);
    if (!session) return undefined;
    const now = performance.now();
    this.#sessions.delete(key);
    if (session.owner.removed || now - session.usedAt > this.#idleMs) return undefined;
    session.usedAt = now;
    this.#sessions.set(key, session);
    return session.owner.endpoint;
  }

  /** Forgets all sessions of endpoints that were removed. */
  forget(backendService: BackendServiceId, endpoints: Iterable<string>): void {
    for (const endpoint of endpoints) {
      const key = keyOf(backendService, endpoint);
      const owner = this.#owners.get(key);
      if (owner) owner.removed = true;
      this.#owners.delete(key);
    }
  }

  #ownerAt(backendService: BackendServiceId, endpoint: string): Owner {
    const key = keyOf(backendService, endpoint);
    let owner = this.#owners.get(key);
    if (!owner) {
      owner = { endpoint, removed: false };
      this.#owners.set(key, owner);
    }
    return owner;
  }
}

function keyOf(backendService: BackendServiceId, name: string): string {
  return `${backendService} ${name}`;
}
