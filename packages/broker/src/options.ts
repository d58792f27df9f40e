import { BrokerError } from "./errors.ts";

/** For each numeric option its least and greatest value, both whole. */
export type Bounds<T> = { readonly [Name in keyof T]: readonly [least: number, greatest: number] };

/**
 * The numeric options of a call: the given ones over the defaults, each held to its bounds.
 *
 * @param others the names of the call's other options; any name beyond these is refused.
 * @throws BrokerError `OPTIONS_INVALID`
 */
export function readNumbers<T extends { readonly [Name in keyof T]: number }>(
  given: object,
  defaults: T,
  bounds: Bounds<T>,
  others: readonly string[],
): T {
  const known: readonly string[] = [...Object.keys(defaults), ...others];
  const stranger = Object.keys(given).find((name) => !known.includes(name));
  if (stranger !== undefined)
    throw new BrokerError(
      "OPTIONS_INVALID",
      `There is no option ${stranger}; there are ${known.join(", ")}.`,
    );
  const settled: Record<string, number> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || others.includes(name)) continue;
    const [least, greatest] = bounds[name as keyof T];
    if (!Number.isSafeInteger(value) || value < least || value > greatest)
      throw new BrokerError("OPTIONS_INVALID", `${name} is a whole number from ${least} to ${greatest}.`);
    settled[name] = value;
  }
  return settled as T;
}
