import { expect, test } from "vitest";
import { randomKeys, seededRandom } from "../../test/random.ts";
import { dealSlots, keyOnSlot, SLOTS, slotOf } from "./maglev.ts";

const names = (count: number) =>
  Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:80`);

test("gives every name the same share, give or take a slot", () => {
  for (const count of [2, 3, 7, 100]) {
    const shares = new Array<number>(count).fill(0);
    for (const owner of dealSlots(names(count))) shares[owner] = (shares[owner] ?? 0) + 1;
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  }
});

test("moves little more than the newcomer's share when a name is added", () => {
  const before = dealSlots(names(10));
  const after = dealSlots(names(11));
  let taken = 0;
  let disturbed = 0;
  for (let slot = 0; slot < SLOTS; slot++) {
    if (after[slot] === 10) taken++;
    else if (after[slot] !== before[slot]) disturbed++;
  }
  expect(taken / SLOTS).toBeCloseTo(1 / 11, 3);
  expect(disturbed / SLOTS).toBeLessThan(0.1);
});

test("takes a key modulo the slots as 64-bit arithmetic does", () => {
  for (const key of randomKeys(1000, seededRandom())) {
    expect(slotOf(key)).toBe(Number(((BigInt(key.hi) << 32n) | BigInt(key.lo)) % BigInt(SLOTS)));
  }
});

test("moves any key onto any slot and keeps it within 64 bits", () => {
  const random = seededRandom();
  const edges = [0, 1, 0xffff_ffff].flatMap((hi) => [0, 0xffff_0000, 0xffff_ffff].map((lo) => ({ hi, lo })));
  for (const key of [...edges, ...randomKeys(1000, random)]) {
    const slot = random() % SLOTS;
    const moved = keyOnSlot(key, slot);
    expect(slotOf(moved)).toBe(slot);
    expect(moved.lo >>> 0).toBe(moved.lo);
  }
});
