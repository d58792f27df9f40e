/**
 * Milliseconds before the next try: doubled with every failure up to ten seconds, and spread over half to one and a
 * half of that, so that clients that failed together don't come back together.
 */
export function backoffMs(failures: number): number {
  const base = Math.min(10_000, 250 * 2 ** Math.min(failures, 10));
  return base * (0.5 + Math.random());
}
