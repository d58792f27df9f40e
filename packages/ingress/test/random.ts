import { seededRandom as seeded, testSeed } from "@holdfast/broker/testing";
import type { Hash64 } from "../src/endpoints/hash.ts";

/** Random 32-bit numbers; the seed is printed so that a failure can be run again. */
export function seededRandom(seed = testSeed()): () => number {
  const random = seeded(seed);
  return () => random.below(2 ** 32);
}

export function randomKeys(count: number, random: () => number): Hash64[] {
  return Array.from({ length: count }, () => ({ hi: random(), lo: random() }));
}
