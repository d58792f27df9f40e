import type { Endpoint } from "@holdfast/routing";
import { type Hash64, hash64 } from "./hash.ts";

/** One endpoint as this ingress knows it. Stays the same object for as long as its ip:port is a member. */
export class EndpointState {
  /** ip:port, the name that is hashed. */
  readonly id: string;
  readonly hash: Hash64;
  endpoint: Endpoint;
  /** Passed over for now: it could not be connected to. */
  down = false;
  /** No longer a member of its backend service. */
  removed = false;
  readonly #open = new Set<() => void>();

  constructor(id: string, endpoint: Endpoint) {
    this.id = id;
    this.hash = hash64(id);
    this.endpoint = endpoint;
  }

  /**
   * Counts something as open on this endpoint.
   *
   * @param cut called when the endpoint was removed and the draining time is over.
   * @returns to be called when it has ended
   */
  hold(cut: () => void): () => void {
    this.#open.add(cut);
    return () => this.#open.delete(cut);
  }

  /** Ends whatever is still open after the time. */
  drain(afterSec: number): void {
    if (this.#open.size === 0) return;
    const cutAll = () => {
      for (const cut of [...this.#open]) cut();
    };
    if (afterSec === 0) cutAll();
    else setTimeout(cutAll, Math.min(afterSec * 1000, 0x7fff_ffff)).unref();
  }
}

/** ip:port, with brackets around an IPv6 address. */
export function endpointId({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
