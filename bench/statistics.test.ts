import { describe, expect, it } from "vitest";
import { percentile, summarise } from "./statistics.ts";

describe("summarise", () => {
  it("takes the middle of an odd number of values, whatever their order", () => {
    expect(summarise([9, 1, 100, 3, 10])).toEqual({ median: 9, min: 1, max: 100, runs: 5 });
  });

  it("takes the mean of the two middle ones of an even number", () => {
    expect(summarise([4, 1, 2, 30])).toEqual({ median: 3, min: 1, max: 30, runs: 4 });
  });

  it("is the value itself for one run", () => {
    expect(summarise([7])).toEqual({ median: 7, min: 7, max: 7, runs: 1 });
  });

  it.each([[[]], [[1, Number.NaN]], [[Number.POSITIVE_INFINITY]]])("refuses %j", (values) => {
    expect(() => summarise(values)).toThrow(RangeError);
  });
});

describe("percentile", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  it.each([
    [0.5, 50],
    [0.99, 99],
    [0.991, 100],
    [1, 100],
    [0.001, 1],
  ])("is a measured value that a share of %d is not above", (share, value) => {
    expect(percentile(hundred, share)).toBe(value);
  });

  it("leaves the values as they were", () => {
    const values = Float64Array.of(3, 1, 2);
    percentile(values, 0.5);
    expect([...values]).toEqual([3, 1, 2]);
  });

  it.each([0, -1, 1.01, Number.NaN])("refuses a share of %d", (share) => {
    expect(() => percentile(hundred, share)).toThrow(RangeError);
  });
});
