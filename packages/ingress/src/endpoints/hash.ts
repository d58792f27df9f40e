/**
 * An unsigned 64-bit number as two unsigned 32-bit halves. Every request is hashed, and pairs are several times
 * faster than BigInt.
 */
export interface Hash64 {
  readonly hi: number;
  readonly lo: number;
}

/** FNV-1a, 64 bit, over the text's Latin-1 bytes (draft-eastlake-fnv). */
export function fnv1a64(text: string): Hash64 {
  let hi = 0xcbf29ce4;
  let lo = 0x84222325;
  for (let index = 0; index < text.length; index++) {
    lo = (lo ^ (text.charCodeAt(index) & 0xff)) >>> 0;
    // The prime is 2^40 + 0x1b3, and every product below stays under 2^53, so plain numbers are exact.
    const low = lo * 0x1b3;
    hi = (hi * 0x1b3 + Math.floor(low / 0x1_0000_0000) + lo * 0x100) >>> 0;
    lo = low >>> 0;
  }
  return { hi, lo };
}

/** Spreads every input bit over all 32 (the finalizer of MurmurHash3). */
export function mix32(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * FNV-1a with both halves mixed: addresses differ in a digit or two, and FNV alone leaves such neighbours close.
 * Part of what several ingresses agree on, so it must never change between releases without notice.
 */
export function hash64(text: string): Hash64 {
  const { hi, lo } = fnv1a64(text);
  const low = mix32(lo ^ hi);
  return { hi: mix32((hi + low) >>> 0), lo: low };
}
