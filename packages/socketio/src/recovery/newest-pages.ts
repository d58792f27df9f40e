import type { History, HistoryQuery, Position } from "@holdfast/broker";

/** How long a page is kept for others who come back at the same time. */
const KEPT_MS = 250;
/** Channels of which one is kept. */
const MAX_PAGES = 64;

interface Page {
  readonly history: Promise<History>;
  readonly until: number;
}

/**
 * The newest page of each channel that was read just now. When a node dies its clients come together, most of them
 * into the same rooms, and each needs a page only as new as what its own node had handed out when it came.
 */
export class NewestPages {
  readonly #read: (channel: string, query: HistoryQuery) => Promise<History>;
  readonly #pages = new Map<string, Page>();

  constructor(read: (channel: string, query: HistoryQuery) => Promise<History>) {
    this.#read = read;
  }

  /** @param last the page reaches to it at least, where the log does */
  async read(channel: string, query: HistoryQuery, last: Position): Promise<History> {
    const kept = this.#pages.get(channel);
    if (kept && kept.until > performance.now()) {
      const history = await kept.history.catch(() => undefined);
      if (history && history.head.epoch === last.epoch && history.head.offset >= last.offset) return history;
    }
    const current = this.#pages.get(channel);
    if (current && current !== kept) return this.read(channel, query, last);
    const history = this.#read(channel, query);
    this.#pages.delete(channel);
    this.#pages.set(channel, { history, until: performance.now() + KEPT_MS });
    for (const oldest of this.#pages.keys()) {
      if (this.#pages.size <= MAX_PAGES) break;
      this.#pages.delete(oldest);
    }
    return history;
  }

  /** Lets go of pages that are too old. */
  sweep(): void {
    const now = performance.now();
    for (const [channel, { until }] of this.#pages) if (until <= now) this.#pages.delete(channel);
  }
}
