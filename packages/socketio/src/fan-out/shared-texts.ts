/** Longer ones are rarely the same. */
const MAX_LENGTH = 512;
const MAX_TEXTS = 1_000;

/** Keeps texts that many have in common once: most clients come with one of a few browsers' headers. */
export class SharedTexts {
  readonly #texts = new Map<string, string>();

  /** @returns an equal text, kept before where there is one */
  share(text: string): string {
    if (text.length > MAX_LENGTH) return text;
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    // The oldest goes; if it is common, it is soon there again.
    if (this.#texts.size >= MAX_TEXTS) this.#texts.delete(this.#texts.keys().next().value ?? "");
    this.#texts.set(text, text);
    return text;
  }
}
