import { expect, test } from "vitest";
import { slotOf } from "./hash-slot.ts";

// CLUSTER KEYSLOT's answers.
test.each([
  ["123456789", 12_739],
  ["{user1000}.following", 3443],
  ["user1000", 3443],
  ["foo{}{bar}", 8363],
  ["foo{{bar}}zap", 4015],
])("%s is in slot %i", (key, slot) => {
  expect(slotOf(key)).toBe(slot);
});
