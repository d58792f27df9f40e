/**
 * The greatest seq that this process has seen of each partition. A server that took over, or came back, without the newest
 * entries also counts from where these begin; it is told this, so that no seq is ever given to another entry as well.
 */
export class Seqs {
  readonly #greatest = new Map<number, number>();

  saw(partition: number, seq: number): void {
    if (seq > this.of(partition)) this.#greatest.set(partition, seq);
  }

  /** 0 where none was seen. */
  of(partition: number): number {
    return this.#greatest.get(partition) ?? 0;
  }
}
