import { afterEach } from "vitest";

/** Keeps what a test has started: ends it after that test, the newest first. */
export type Keep = <T>(thing: T, end: () => unknown) => T;

/** To be called once, where the file's tests are declared. */
export function keeper(): Keep {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  return (thing, end) => {
    ends.push(end);
    return thing;
  };
}
