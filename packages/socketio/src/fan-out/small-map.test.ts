import { seededRandom, testSeed } from "@holdfast/broker/testing";
import { expect, it } from "vitest";
import { SmallMap } from "./small-map.ts";

const seed = testSeed();

it(`does what a map does (SEED=${seed})`, () => {
  const random = seededRandom(seed);
  const [small, map] = [new SmallMap<number, number>(), new Map<number, number>()];
  for (let n = 0; n < 2_000; n++) {
    const key = random.below(3);
    const what = random.next();
    if (what < 0.45) expect(small.set(key, n)).toBe(small);
    if (what < 0.45) map.set(key, n);
    else if (what < 0.9) expect(small.delete(key)).toBe(map.delete(key));
    else if (what < 0.93) {
      small.clear();
      map.clear();
    } else {
      expect([...small]).toEqual([...map]);
      expect([...small.keys()]).toEqual([...map.keys()]);
      expect([...small.values()]).toEqual([...map.values()]);
    }
    expect(small.size).toBe(map.size);
    for (const one of [0, 1, 2]) {
      expect(small.has(one)).toBe(map.has(one));
      expect(small.get(one)).toBe(map.get(one));
    }
  }
});

it("lets its entries be deleted while they are gone through", () => {
  const small = new SmallMap([
    ["a", 1],
    ["b", 2],
  ]);
  const seen: number[] = [];
  for (const value of small.values()) {
    seen.push(value);
    small.delete("a");
    small.delete("b");
  }
  expect(seen).toEqual([1]);
  expect(small.size).toBe(0);
});
