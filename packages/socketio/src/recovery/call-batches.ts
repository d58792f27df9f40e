/** Calls under way at a time. */
const CALLS = 256;
/** With so many that wait, the next batch begins although the last one is not over. */
const ENOUGH = 64;
/** A batch that takes longer holds up nobody. */
const BATCH_MS = 25;

/**
 * Calls to the broker, in batches: one that comes alone is made at once, and what comes while others are under way goes with
 * the next ones. So thousands who come at a time cost few writes to the broker, and few commits there.
 */
export class CallBatches {
  #waiting: (() => void)[] = [];
  #underWay = 0;
  /** Calls of this turn of the event loop go together. */
  #isOpen = false;
  #late: NodeJS.Timeout | undefined;

  /** Makes a call when its time has come. Resolves and rejects as it does. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#mayBegin()) {
      this.#underWay++;
      this.#open();
    } else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        this.#next();
      });
    }
    try {
      return await call();
    } finally {
      this.#underWay--;
      this.#next();
    }
  }

  #mayBegin(): boolean {
    if (this.#underWay >= CALLS || this.#waiting.length > 0) return false;
    return this.#isOpen || this.#underWay === 0;
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    setImmediate(() => {
      this.#isOpen = false;
      this.#next();
    });
  }

  #next(isLate = false): void {
    const room = CALLS - this.#underWay;
    if (this.#waiting.length === 0 || room <= 0) return;
    if (this.#underWay > 0 && this.#waiting.length < ENOUGH && !isLate) {
      this.#late ??= setTimeout(() => {
        this.#late = undefined;
        this.#next(true);
      }, BATCH_MS);
      return;
    }
    clearTimeout(this.#late);
    this.#late = undefined;
    const next = this.#waiting.splice(0, room);
    this.#underWay += next.length;
    for (const begin of next) begin();
  }
}
