import { get, post, type RequestCase, SMUGGLED } from "./case.ts";

const refused = [
  ["two lengths that differ", ["Content-Length: 3", "Content-Length: 5"]],
  ["two lengths that agree", ["Content-Length: 3", "Content-Length: 3"]],
  ["two lengths in one field", ["Content-Length: 3, 5"]],
  ["one length twice in one field", ["Content-Length: 3,3"]],
  ["an empty length", ["Content-Length:"]],
  ["an empty length before a real one", ["Content-Length: ", "Content-Length: 3"]],
  ["a sign", ["Content-Length: +3"]],
  ["a negative length", ["Content-Length: -3"]],
  ["hexadecimal digits", ["Content-Length: 0x3"]],
  ["an exponent", ["Content-Length: 3e0"]],
  ["a fraction", ["Content-Length: 3.0"]],
  ["an underscore between digits", ["Content-Length: 1_0"]],
  ["a blank between digits", ["Content-Length: 3 5"]],
  ["a tab before the length", ["Content-Length:\t3"]],
  ["a no-break space behind the length", ["Content-Length: 3\xa0"]],
  ["a vertical tab before the length", ["Content-Length: \x0b3"]],
  ["a NUL behind the length", ["Content-Length: 3\0"]],
  ["other digits than ASCII's", ["Content-Length: \xb2"]],
  ["a length above 2^53", ["Content-Length: 9007199254740993"]],
  ["a length that wraps around at 2^64", ["Content-Length: 18446744073709551619"]],
  ["a quoted length", ['Content-Length: "3"']],
] as const;

export const lengths: readonly RequestCase[] = [
  ...refused.map(
    ([name, lines]): RequestCase => ({ name, sent: post(lines, `abc${SMUGGLED}`), refused: 400 }),
  ),
  {
    name: "leading zeros, which are written anew",
    sent: post(["Content-Length: 003"], "abc"),
    reach: ["POST / abc"],
    has: /\r\nContent-Length: 3\r\n/,
  },
  {
    name: "0.CL: a body with GET, which is one",
    sent: get([`Content-Length: ${SMUGGLED.length}`]) + SMUGGLED + get([], "/next"),
    reach: [`GET / ${SMUGGLED}`, "GET /next "],
  },
  {
    name: "no length with POST: what follows is the next request",
    sent: post([]) + get([], "/next"),
    reach: ["POST / ", "GET /next "],
    has: /^POST \/ HTTP\/1\.1\r\n.*?\r\nContent-Length: 0\r\n/s,
  },
  {
    name: "a body that is shorter than its length",
    sent: post(["Content-Length: 9"], "abc"),
  },
];
