import type { Entry } from "@holdfast/broker";
import { decodeMessage, encodeMessage } from "../codec.ts";
import { HubError } from "../errors.ts";

/** What an entry of a state's log says. */
export type StateEntry =
  | { readonly type: "set"; readonly key: string; readonly value: unknown }
  | { readonly type: "delete"; readonly key: string }
  /**
   * All that held after the entry at this offset. What came between that one and this is not in it. `complete` false: who
   * wrote it had not all of it.
   */
  | {
      readonly type: "snapshot";
      readonly offset: number;
      readonly pairs: readonly (readonly [string, unknown])[];
      readonly complete: boolean;
    };

const MAX_KEY_CHARACTERS = 256;

/** @throws HubError `STATE_INVALID` */
export function encodeStateEntry(entry: StateEntry): Uint8Array {
  try {
    return encodeMessage({ event: `holdfast:${entry.type}`, data: dataOf(entry) });
  } catch (error) {
    if (error instanceof HubError) throw error;
    throw new HubError("STATE_INVALID", `it is no JSON value: ${(error as Error).message}`);
  }
}

function dataOf(entry: StateEntry): unknown {
  switch (entry.type) {
    case "set":
      checkKey(entry.key);
      if (entry.value === undefined) throw new HubError("STATE_INVALID", "the value is undefined");
      return [entry.key, entry.value];
    case "delete":
      checkKey(entry.key);
      return [entry.key];
    case "snapshot":
      return [entry.offset, entry.pairs, entry.complete];
  }
}

/** Undefined for bytes that are no entry of a state: another program wrote them. */
export function decodeStateEntry({ data, offset }: Entry): StateEntry | undefined {
  const decoded = decodeMessage(data);
  if (!decoded.ok || !Array.isArray(decoded.message.data)) return undefined;
  const [first, second, third] = decoded.message.data as readonly unknown[];
  switch (decoded.message.event) {
    case "holdfast:set":
      return typeof first === "string" && second !== undefined
        ? { type: "set", key: first, value: second }
        : undefined;
    case "holdfast:delete":
      return typeof first === "string" ? { type: "delete", key: first } : undefined;
    case "holdfast:snapshot":
      // It can't be of a later moment than its own.
      return isOffset(first) && first < offset && arePairs(second)
        ? { type: "snapshot", offset: first, pairs: second, complete: third === true }
        : undefined;
    default:
      return undefined;
  }
}

function checkKey(key: unknown): void {
  if (typeof key === "string" && key !== "" && key.length <= MAX_KEY_CHARACTERS) return;
  throw new HubError("STATE_INVALID", `a key has 1 to ${MAX_KEY_CHARACTERS} characters`);
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function arePairs(value: unknown): value is readonly (readonly [string, unknown])[] {
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string")
  );
}
