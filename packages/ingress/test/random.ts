import type { Hash64 } from "../src/hash.ts";

/** A seeded generator of 32-bit numbers (mulberry32); the seed is printed so that a failure can be run again. */
export function seededRandom(seed = Number(process.env.SEED ?? Date.now() % 1_000_000)): () => number {
  console.info(`SEED=${seed}`);
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

export function randomKeys(count: number, random: () => number): Hash64[] {
  return Array.from({ length: count }, () => ({ hi: random(), lo: random() }));
}
