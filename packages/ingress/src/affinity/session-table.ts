import type { BackendServiceId } from "@holdfast/routing";

interface Session {
  readonly backendService: BackendServiceId;
  /** ip:port */
  readonly endpoint: string;
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
    this.#sessions.set(key, { backendService, endpoint, usedAt: now });
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
    if (now - session.usedAt > this.#idleMs) return undefined;
    session.usedAt = now;
    this.#sessions.set(key, session);
    return session.endpoint;
  }

  /** Forgets all sessions of endpoints that were removed. */
  forget(backendService: BackendServiceId, endpoints: ReadonlySet<string>): void {
    for (const [key, session] of this.#sessions) {
      if (session.backendService === backendService && endpoints.has(session.endpoint))
        this.#sessions.delete(key);
    }
  }
}

function keyOf(backendService: BackendServiceId, sid: string): string {
  return `${backendService} ${sid}`;
}
