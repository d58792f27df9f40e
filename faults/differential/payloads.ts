import type { Random } from "@holdfast/broker/testing";
import type { Payload } from "./program.ts";

const TEXTS = ["", "text", "häppchen ☕ \u2028 \u0000", "0", "[1]", "x".repeat(3000)];
const NAMES = ["a", "__proto__x", "num", "toString"];

/** Arguments of an event: often exactly one piece of JSON, which has a way of its own; else none, several, binary. */
export function makePayload(random: Random): Payload {
  switch (random.below(8)) {
    case 0:
      return [];
    case 1:
      return [random.pick(TEXTS)];
    case 2:
      return Array.from({ length: 2 + random.below(4) }, () => value(random, 2, true));
    case 3:
      return [value(random, 2, false), random.pick(TEXTS)];
    case 4:
      return [bytes(random)];
    case 5:
      return [{ nested: [{ data: bytes(random) }, bytes(random)], text: "between" }, random.below(9)];
    default:
      return [value(random, 3, false)];
  }
}

/** What a server keeps of a socket. */
export function makeData(random: Random, binary: boolean): unknown {
  return value(random, 2, binary);
}

function value(random: Random, depth: number, binary: boolean): unknown {
  switch (random.below(depth > 0 ? 9 : 6)) {
    case 0:
      return null;
    case 1:
      return random.next() < 0.5;
    case 2:
      return random.pick([0, -1, 1.5, 2 ** 40, -1e-7]);
    case 3:
    case 4:
      return random.pick(TEXTS);
    case 5:
      return binary ? bytes(random) : new Date(1e12 + random.below(1e9));
    case 6:
      // What a packet with attachments has in their place. Among attachments Socket.IO's own parser refuses it.
      return binary ? {} : { _placeholder: true, num: random.below(3) };
    case 7:
      return Array.from({ length: random.below(4) }, () => value(random, depth - 1, binary));
    default:
      return Object.fromEntries(
        Array.from({ length: random.below(3) }, () => [random.pick(NAMES), value(random, depth - 1, binary)]),
      );
  }
}

function bytes(random: Random): Uint8Array {
  const data = Uint8Array.from({ length: random.pick([0, 1, 40, 2000]) }, () => random.below(256));
  return random.next() < 0.5 ? Buffer.from(data) : data;
}

/** A value as text, the same for the same content however its bytes are held. */
export function describeValue(value: unknown): string {
  return (
    JSON.stringify(value, function replace(this: Record<string, unknown>, key, said) {
      // Before its `toJSON`, which a Buffer has.
      const held = this[key];
      if (held instanceof ArrayBuffer) return `bytes:${Buffer.from(held).toString("hex")}`;
      if (ArrayBuffer.isView(held))
        return `bytes:${Buffer.from(held.buffer, held.byteOffset, held.byteLength).toString("hex")}`;
      if (held instanceof Error) return `error:${held.message}`;
      return said;
    }) ?? "undefined"
  );
}
