export interface Random {
  /** From 0, below 1. */
  next(): number;
  /** A whole number from 0, below the bound. */
  below(bound: number): number;
  /** One of them. @throws RangeError when there is none. */
  pick<T>(items: readonly T[]): T;
}

/** The seed of a randomised test: the environment's `SEED`, or a new one. Printed, so that the run can be replayed. */
export function testSeed(): number {
  const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.info(`SEED=${seed}`);
  return seed;
}

/** Random numbers for tests, the same ones for the same seed (the generator is mulberry32, in the public domain). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    next,
    below,
    pick: <T>(items: readonly T[]): T => {
      const index = below(items.length);
      if (index >= items.length) throw new RangeError("There is nothing to pick from.");
      return items[index] as T;
    },
  };
}
