/** How many connections each client has open. */
export class ConnectionCounts {
  readonly #counts = new Map<string, number>();
  readonly #most: number;

  /** @param most for one client */
  constructor(most: number) {
    this.#most = most;
  }

  /** Clients that have any. */
  get size(): number {
    return this.#counts.size;
  }

  /** @returns false when that would be one too many; then it isn't counted */
  take(client: string): boolean {
    const count = this.#counts.get(client) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(client, count + 1);
    return true;
  }

  release(client: string): void {
    const count = this.#counts.get(client) ?? 0;
    if (count > 1) this.#counts.set(client, count - 1);
    else this.#counts.delete(client);
  }
}
