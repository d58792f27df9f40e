import { expect, test } from "vitest";
import { BackOff } from "./back-off.ts";

test("doubles the wait up to its bound, and begins anew after a reset", () => {
  const backOff = new BackOff(200, 1000);
  expect([1, 2, 3, 4, 5].map(() => backOff.next())).toEqual([200, 400, 800, 1000, 1000]);
  backOff.reset();
  expect(backOff.next()).toBe(200);
});
