import type { Random } from "@holdfast/broker/testing";

/** What parsers have disagreed about. */
const NASTY = [
  "\r",
  "\n",
  "\r\n",
  "\n\n",
  "\r\n\r\n",
  "\r\r\n",
  "\0",
  "\t",
  " ",
  "  ",
  "\x0b",
  "\x0c",
  "\x7f",
  "\x80",
  "\x85",
  "\xa0",
  "\xff",
  ":",
  ";",
  ",",
  "=",
  '"',
  "\\",
  "#",
  "?",
  "*",
  "@",
  "%0d%0a",
  "_",
  "-",
  "+",
  "0",
  "1",
  "00",
  "0x",
  "f",
  "F",
  "ffffffffffffffff",
  "9007199254740993",
  "18446744073709551617",
  "chunked",
  "0\r\n\r\n",
  "1\r\nZ\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding : chunked\r\n",
  "Transfer_Encoding: chunked\r\n",
  "Content-Length: 3\r\n",
  "Content-Length: 0\r\n",
  "Content-Length:\r\n",
  "Connection: close\r\n",
  "Connection: Content-Length\r\n",
  "Connection: Transfer-Encoding, keep-alive\r\n",
  "Host: other\r\n",
  "X: y\r\n",
  " folded\r\n",
  "HTTP/1.1",
  "HTTP/1.0",
  "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
];

/** Changes the text in a place or a few. */
export function mutated(text: string, random: Random): string {
  let result = text;
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(result.length + 1);
    const length = 1 + random.below(random.below(4) === 0 ? 20 : 3);
    switch (random.below(6)) {
      case 0:
        result = result.slice(0, at) + random.pick(NASTY) + result.slice(at);
        break;
      case 1:
        result = result.slice(0, at) + random.pick(NASTY) + result.slice(at + length);
        break;
      case 2:
        result = result.slice(0, at) + result.slice(at + length);
        break;
      case 3:
        result = result.slice(0, at) + result.slice(at, at + length).repeat(2) + result.slice(at + length);
        break;
      case 4:
        result = result.slice(0, at) + String.fromCharCode(random.below(256)) + result.slice(at + 1);
        break;
      default: {
        // At the end of a line, where it hurts most.
        const line = result.indexOf("\r\n", at);
        const place = line === -1 ? at : line + random.below(3);
        result = result.slice(0, place) + random.pick(NASTY) + result.slice(place + random.below(3));
      }
    }
  }
  return result;
}

/** The bytes in pieces, as a network may hand them over. */
export function pieces(text: string, random: Random): Buffer[] {
  const bytes = Buffer.from(text, "latin1");
  const cuts = Array.from({ length: random.below(2) * random.below(5) }, () =>
    random.below(bytes.length + 1),
  );
  const ends = [...cuts.sort((one, other) => one - other), bytes.length];
  let at = 0;
  return ends.map((end) => {
    const piece = bytes.subarray(at, end);
    at = end;
    return piece;
  });
}
