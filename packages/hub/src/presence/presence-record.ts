import type { Lease, LeaseOwner } from "@holdfast/broker";

const RETRY_MS = 1_000;
/** Others who may take the same record over while it is being taken. */
const TAKE_ATTEMPTS = 5;

/**
 * One record as this node wants it to be: written, or gone. Whatever breaks meanwhile, it is tried again until the broker
 * has it so, or another node has taken it over.
 */
export class PresenceRecord {
  readonly #owner: LeaseOwner;
  readonly #group: string;
  readonly #key: string;
  readonly #lingerMs: number;
  readonly #onGone: () => void;
  #wanted: Uint8Array | undefined;
  #working: Promise<void> | undefined;
  #again = false;
  #retry: NodeJS.Timeout | undefined;
  #leaving: NodeJS.Timeout | undefined;
  #closed = false;

  /**
   * @param lingerMs how long it outlives its owner
   * @param onGone nothing is to be kept of it any more
   */
  constructor(owner: LeaseOwner, group: string, key: string, lingerMs: number, onGone: () => void) {
    this.#owner = owner;
    this.#group = group;
    this.#key = key;
    this.#lingerMs = lingerMs;
    this.#onGone = onGone;
  }

  /** Resolves when it is written; rejects with the broker's error at the first failure, and goes on trying. */
  want(value: Uint8Array): Promise<void> {
    clearTimeout(this.#leaving);
    this.#wanted = value;
    return this.#work();
  }

  /** As `want`, for its removal. */
  remove(): Promise<void> {
    clearTimeout(this.#leaving);
    this.#wanted = undefined;
    return this.#work();
  }

  removeAfter(ms: number): void {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => void this.remove().catch(() => undefined), ms);
    this.#leaving.unref();
  }

  /** The broker has it no longer as this node wrote it. */
  lost(lease: Lease | undefined): void {
    if (this.#closed || this.#wanted === undefined) return;
    if (lease === undefined) void this.#work().catch(() => undefined);
    // The connection is at another node now.
    else this.#end();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#leaving);
  }

  #work(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    clearTimeout(this.#retry);
    if (this.#working) {
      this.#again = true;
      return this.#working;
    }
    this.#working = this.#turns().finally(() => {
      this.#working = undefined;
    });
    return this.#working;
  }

  async #turns(): Promise<void> {
    try {
      do {
        this.#again = false;
        await this.#turn();
      } while (this.#again && !this.#closed);
    } catch (error) {
      if (!this.#closed) {
        this.#retry = setTimeout(() => void this.#work().catch(() => undefined), RETRY_MS);
        this.#retry.unref();
      }
      throw error;
    }
    if (this.#wanted === undefined && !this.#closed) this.#end();
  }

  async #turn(): Promise<void> {
    const value = this.#wanted;
    if (value === undefined) {
      await this.#owner.remove(this.#group, this.#key);
      return;
    }
    const lingerMs = this.#lingerMs;
    let put = await this.#owner.put(this.#group, this.#key, value, { lingerMs });
    for (let attempt = 1; put.type === "refused" && attempt < TAKE_ATTEMPTS; attempt++) {
      // The connection was at another node, whose record is still there: here it is now.
      put = await this.#owner.put(this.#group, this.#key, value, {
        lingerMs,
        expect: put.lease?.version ?? 0,
      });
    }
  }

  #end(): void {
    this.close();
    this.#onGone();
  }
}
