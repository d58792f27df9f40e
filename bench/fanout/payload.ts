/**
 * A message of the fan-out bench: its number, when it was sent, and filler up to the length. ASCII, and nothing that
 * JSON escapes, so that it has this many bytes in every subject's frames.
 */
export const PAYLOAD_BYTES = 150;

const NUMBER_DIGITS = 10;
const TIME_DIGITS = 16;
const TIME_START = NUMBER_DIGITS + 1;
const ZERO = 0x30;

/** Microseconds on a clock that all processes of this machine share and nobody sets. */
export function sharedClock(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

export function composePayload(number: number, sentAt: number): string {
  const head = `${String(number).padStart(NUMBER_DIGITS, "0")} ${String(sentAt).padStart(TIME_DIGITS, "0")} `;
  return head.padEnd(PAYLOAD_BYTES, "x");
}

/** The number of the payload that begins at an index; NaN when none does. */
export function readNumber(frame: Buffer, start: number): number {
  return readDigits(frame, start, NUMBER_DIGITS);
}

/** The `sharedClock` when the payload at an index was composed; NaN when there is none. */
export function readSentAt(frame: Buffer, start: number): number {
  return readDigits(frame, start + TIME_START, TIME_DIGITS);
}

function readDigits(frame: Buffer, start: number, count: number): number {
  let value = 0;
  for (let index = start; index < start + count; index++) {
    const digit = (frame[index] ?? -1) - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}
