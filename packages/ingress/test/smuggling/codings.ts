import { get, post, type RequestCase, SMUGGLED } from "./case.ts";

const CHUNKED_BODY = "3\r\nabc\r\n0\r\n\r\n";

const refused = [
  ["CL.TE", ["Content-Length: 6", "Transfer-Encoding: chunked"], 400],
  ["TE.CL", ["Transfer-Encoding: chunked", "Content-Length: 6"], 400],
  ["CL.TE with a length of 0", ["Content-Length: 0", "Transfer-Encoding: chunked"], 400],
  ["CL.TE in other letters", ["content-length: 6", "TRANSFER-ENCODING: Chunked"], 400],
  [
    "CL.TE, the length named by Connection",
    ["Connection: Content-Length", "Content-Length: 6", "Transfer-Encoding: chunked"],
    400,
  ],
  [
    "CL.TE, the coding named by Connection",
    ["Connection: Transfer-Encoding", "Content-Length: 6", "Transfer-Encoding: chunked"],
    400,
  ],
  ["TE.TE: the coding twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400],
  ["TE.TE: another coding first", ["Transfer-Encoding: identity", "Transfer-Encoding: chunked"], 501],
  ["TE.TE: another coding last", ["Transfer-Encoding: chunked", "Transfer-Encoding: x"], 400],
  ["TE.TE: chunked, chunked", ["Transfer-Encoding: chunked, chunked"], 400],
  ["TE.TE: chunked, identity", ["Transfer-Encoding: chunked, identity"], 501],
  ["gzip, chunked", ["Transfer-Encoding: gzip, chunked"], 501],
  ["gzip alone", ["Transfer-Encoding: gzip"], 501],
  ["identity", ["Transfer-Encoding: identity"], 501],
  ["xchunked", ["Transfer-Encoding: xchunked"], 501],
  ["chunkedx", ["Transfer-Encoding: chunkedx"], 501],
  ["chunked with a parameter", ["Transfer-Encoding: chunked;q=1"], 501],
  ["an empty coding", ["Transfer-Encoding:"], 400],
  ["an empty item before it", ["Transfer-Encoding: ,chunked"], 400],
  ["an empty item behind it", ["Transfer-Encoding: chunked,"], 400],
  ["quotes", ['Transfer-Encoding: "chunked"'], 400],
  ["a tab before it", ["Transfer-Encoding:\tchunked"], 400],
  ["a tab behind it", ["Transfer-Encoding: chunked\t"], 400],
  ["a vertical tab before it", ["Transfer-Encoding: \x0bchunked"], 400],
  ["a form feed behind it", ["Transfer-Encoding: chunked\x0c"], 400],
  ["a NUL behind it", ["Transfer-Encoding: chunked\0"], 400],
  ["a no-break space behind it", ["Transfer-Encoding: chunked\xa0"], 400],
  ["a letter outside ASCII that some lower-case to k", ["Transfer-Encoding: chun\xe2\x84\xaaed"], 400],
  ["a blank before the colon", ["Transfer-Encoding : chunked"], 400],
  ["a blank before the name", [" Transfer-Encoding: chunked"], 400],
  ["a folded value", ["Transfer-Encoding:", " chunked"], 400],
  ["a bare CR before the name", ["X: y\rTransfer-Encoding: chunked"], 400],
  ["a bare LF before the name", ["X: y\nTransfer-Encoding: chunked"], 400],
] as const;

export const codings: readonly RequestCase[] = [
  ...refused.map(
    ([name, lines, status]): RequestCase => ({
      name,
      sent: post(lines, CHUNKED_BODY + SMUGGLED),
      refused: status,
    }),
  ),
  {
    name: "chunks in HTTP/1.0",
    sent: `POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}${SMUGGLED}`,
    refused: 400,
  },
  {
    name: "capitals and blanks around, which are written anew",
    sent: post(["transfer-ENCODING:  CHUNKed  "], CHUNKED_BODY) + get([], "/next"),
    reach: ["POST / abc", "GET /next "],
    has: /\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET/,
  },
  {
    name: "chunks with GET",
    sent: get(["Transfer-Encoding: chunked"]) + CHUNKED_BODY + get([], "/next"),
    reach: ["GET / abc", "GET /next "],
  },
  {
    name: "a coding that Connection names",
    sent: post(["Connection: transfer-encoding", "Transfer-Encoding: chunked"], CHUNKED_BODY),
    reach: ["POST / abc"],
    has: /\r\nTransfer-Encoding: chunked\r\n/,
    lacks: /\r\nConnection:/i,
  },
  {
    name: "the coding with an underscore, which CGI can't tell apart",
    sent: post(["Transfer_Encoding: chunked", "Content-Length: 3"], "abc"),
    reach: ["POST / abc"],
    lacks: /transfer.encoding/i,
  },
  {
    name: "the length with an underscore",
    sent: post(["Content_Length: 30", "Content-Length: 3"], "abc"),
    reach: ["POST / abc"],
    lacks: /content_length/i,
  },
];
