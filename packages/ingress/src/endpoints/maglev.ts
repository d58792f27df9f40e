import { type Hash64, hash64 } from "./hash.ts";

/**
 * Slots of a table. A prime, so that every permutation below visits each slot once; and far more than there are
 * endpoints, so that each gets nearly the same share ("Maglev", Eisenbud et al., NSDI 2016, §3.4 and §5.3).
 */
export const SLOTS = 65_537;

/**
 * Deals the slots out to the names: each takes its next preferred free slot in turn, so all get the same number
 * (give or take one), and a name that is added takes about 1/N of everybody's slots and hardly moves the rest.
 *
 * @param names in the same order everywhere, since it decides who takes a slot that two prefer; at most 65,535.
 * @returns for each slot the index of its name; all zero when there are no names.
 */
export function dealSlots(names: readonly string[]): Uint16Array {
  const owners = new Uint16Array(SLOTS);
  if (names.length < 2) return owners;
  const taken = new Uint8Array(SLOTS);
  const hashes = names.map(hash64);
  const next = Uint32Array.from(hashes, ({ hi }) => hi % SLOTS);
  const skip = Uint32Array.from(hashes, ({ lo }) => (lo % (SLOTS - 1)) + 1);
  for (let dealt = 0; ; ) {
    for (let index = 0; index < names.length; index++) {
      const step = skip[index] ?? 1;
      let slot = next[index] ?? 0;
      while (taken[slot] === 1) slot = (slot + step) % SLOTS;
      taken[slot] = 1;
      owners[slot] = index;
      next[index] = (slot + step) % SLOTS;
      if (++dealt === SLOTS) return owners;
    }
  }
}

/** The 64-bit number modulo the number of slots: 2^32 leaves 1 when divided by 65,537, so the halves just add up. */
export function slotOf(key: Hash64): number {
  return (key.hi + key.lo) % SLOTS;
}

/** Moves a key to the nearest one above that falls on the slot, wrapping within the lower half. */
export function keyOnSlot(key: Hash64, slot: number): Hash64 {
  const lo = key.lo + ((slot - slotOf(key) + SLOTS) % SLOTS);
  return { hi: key.hi, lo: lo > 0xffff_ffff ? lo - SLOTS : lo };
}
