/** As many as the other sections' entries have. */
export const MESSAGE_BYTES = 128;

const PROBE = "probe";
const TIMEOUT_MS = 20_000;

/** The message of this number, from 0 on; without a number a probe. */
export function composeMessage(channel: string, number?: number): string {
  return `${channel} ${number ?? PROBE} `.padEnd(MESSAGE_BYTES, "A");
}

/** What a node is delivered: every message of each of its channels, in order, and no other. */
export class Inbox {
  /** The number that is next on each channel; undefined as long as no probe has come. */
  readonly #next: Map<string, number | undefined>;
  readonly #failure = Promise.withResolvers<never>();
  #wake = Promise.withResolvers<void>();

  constructor(channels: readonly string[]) {
    this.#next = new Map(channels.map((channel) => [channel, undefined]));
    this.#failure.promise.catch(() => {});
  }

  take(message: string): void {
    const [channel = "", number = ""] = message.split(" ", 2);
    const next = this.#next.get(channel);
    if (!this.#next.has(channel) || message.length !== MESSAGE_BYTES)
      this.#fail(`${message} is not for here`);
    else if (number === PROBE) this.#next.set(channel, next ?? 0);
    else if (Number(number) !== next) this.#fail(`${number} came on ${channel} for ${next}`);
    else this.#next.set(channel, next + 1);
    this.#wake.resolve();
  }

  /** Resolves once each channel has delivered a probe. */
  follows(): Promise<void> {
    return this.#until((next) => next !== undefined);
  }

  /** Resolves once each channel has delivered the message of this number. */
  delivered(number: number): Promise<void> {
    return this.#until((next) => next !== undefined && next > number);
  }

  /** @throws Error when a message was lost, doubled, overtaken or isn't for here, or nothing more comes */
  async #until(isThere: (next: number | undefined) => boolean): Promise<void> {
    const timer = setTimeout(() => this.#fail("a message that was published didn't come"), TIMEOUT_MS);
    try {
      while (![...this.#next.values()].every(isThere)) {
        this.#wake = Promise.withResolvers();
        await Promise.race([this.#wake.promise, this.#failure.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #fail(message: string): void {
    this.#failure.reject(new Error(message));
  }
}
