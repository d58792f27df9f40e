import type { Endpoint } from "@holdfast/routing";
import { type Hash64, hash64 } from "./hash.ts";

/** Something that is open on an endpoint, such as a request. */
export interface Held {
  /** The endpoint was removed, and the draining time is over. */
  cut(): void;
}

/** One endpoint as this ingress knows it. Stays the same object for as long as its ip:port is a member. */
export class EndpointState {
  /** ip:port, the name that is hashed. */
  readonly id: string;
  readonly hash: Hash64;
  endpoint: Endpoint;
  /** Why it is passed over for now; undefined when it isn't. Only its table writes this, and the two below. */
  downFor: "connect" | "reset" | undefined;
  /** How often in a row it was passed over, with no success in between. */
  strikes = 0;
  /** How often in a row it ended a connection instead of answering. */
  resets = 0;
  /** No longer a member of its backend service. */
  removed = false;
  readonly #open = new Set<Held>();

  constructor(id: string, endpoint: Endpoint) {
    this.id = id;
    this.hash = hash64(id);
    this.endpoint = endpoint;
  }

  /** Declared healthy by whoever gave the endpoint; what is seen of it here (`down`) counts apart. */
  get healthy(): boolean {
    return this.endpoint.healthy;
  }

  /** Passed over for now: it could not be connected to, or did not answer. */
  get down(): boolean {
    return this.downFor !== undefined;
  }

  /** Requests and upgraded connections that are open on it. */
  get open(): number {
    return this.#open.size;
  }

  /**
   * Counts something as open on this endpoint.
   *
   * @param cut called when the endpoint was removed and the draining time is over; a function of its own each time
   * @returns to be called when it has ended; any further call does nothing
   */
  hold(cut: () => void): () => void {
    const held = { cut };
    this.add(held);
    return () => this.remove(held);
  }

  /** As `hold`, for who would rather be called itself: nothing has to be made for it. */
  add(held: Held): void {
    this.#open.add(held);
  }

  /** What was added has ended; any further call does nothing. */
  remove(held: Held): void {
    this.#open.delete(held);
  }

  /**
   * Ends whatever is still open after the time. For an endpoint that was removed, once.
   *
   * @param over called when the time is over, before anything is ended
   */
  drain(afterSec: number, over: () => void): void {
    const cutAll = () => {
      over();
      for (const held of [...this.#open]) held.cut();
    };
    if (afterSec === 0) cutAll();
    else setTimeout(cutAll, Math.min(afterSec * 1000, 0x7fff_ffff)).unref();
  }
}

/** ip:port, with brackets around an IPv6 address. */
export function endpointId({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
