const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** A new `X-Cloud-Trace-Context` as Google's load balancers write it: `<32 hexadecimal digits>/<decimal span>`. */
export function traceContext(): string {
  let trace = "";
  for (let word = 0; word < 4; word++) {
    const bits = Math.random() * 0x1_0000_0000;
    trace += `${HEX[(bits >>> 24) & 0xff]}${HEX[(bits >>> 16) & 0xff]}${HEX[(bits >>> 8) & 0xff]}${HEX[bits & 0xff]}`;
  }
  return `${trace}/${Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)}`;
}
