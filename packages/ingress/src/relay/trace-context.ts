const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Traces that begin with the same random half. */
const SAME_HALF = 1024;

let half = "";
let left = 0;

/** A new `X-Cloud-Trace-Context` as Google's load balancers write it: `<32 hexadecimal digits>/<decimal span>`. */
export function traceContext(): string {
  if (left-- === 0) {
    half = random32() + random32();
    left = SAME_HALF;
  }
  return `${half}${random32()}${random32()}/${(Math.random() * 0x4000_0000) | 0}`;
}

/** 32 random bits as hexadecimal digits. */
function random32(): string {
  const bits = Math.random() * 0x1_0000_0000;
  return `${HEX[(bits >>> 24) & 0xff]}${HEX[(bits >>> 16) & 0xff]}${HEX[(bits >>> 8) & 0xff]}${HEX[bits & 0xff]}`;
}
