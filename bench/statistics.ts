/** The middle, the least and the greatest of one metric's measurements, and how many there were. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

/** @throws RangeError when there is nothing to summarise, or a value is not a finite number. */
export function summarise(values: readonly number[]): Summary {
  const sorted = ascending(values);
  const upper = at(sorted, Math.floor(sorted.length / 2));
  const lower = at(sorted, Math.floor((sorted.length - 1) / 2));
  return {
    median: (lower + upper) / 2,
    min: at(sorted, 0),
    max: at(sorted, sorted.length - 1),
    runs: sorted.length,
  };
}

/**
 * The value that a share of all values is not greater than, by nearest rank: always one that was measured.
 *
 * @param share above 0 and at most 1; 0.99 is the 99th percentile.
 * @throws RangeError as `summarise`, or when the share is outside its bounds.
 */
export function percentile(values: Float64Array | readonly number[], share: number): number {
  if (!(share > 0 && share <= 1)) throw new RangeError(`a share is above 0 and at most 1, not ${share}`);
  const sorted = ascending(values);
  return at(sorted, Math.ceil(share * sorted.length) - 1);
}

function ascending(values: Float64Array | readonly number[]): Float64Array {
  if (values.length === 0) throw new RangeError("no values to summarise");
  const sorted = Float64Array.from(values);
  if (!sorted.every(Number.isFinite)) throw new RangeError("a measured value is not a finite number");
  return sorted.sort();
}

function at(sorted: Float64Array, index: number): number {
  const value = sorted[index];
  if (value === undefined) throw new RangeError(`no value at ${index}`);
  return value;
}
