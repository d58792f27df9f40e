/**
 * The bytes that the bench's clients and pod exchange: small, fixed, and known to both, so that neither of them costs
 * more than it must. They share a core, and the proxy is what is measured.
 */
const CRLF = "\r\n";

function head(...lines: string[]): string {
  return `${lines.join(CRLF)}${CRLF}${CRLF}`;
}

/** What a head ends with. */
export const HEAD_END = Buffer.from(CRLF + CRLF);

export const REQUEST = Buffer.from(
  head(
    "GET / HTTP/1.1",
    "Host: web.example",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept: */*",
    "Accept-Encoding: gzip, deflate, br, zstd",
  ),
);

export const BODY = Buffer.from("The quick brown fox jumps over.\n");

export const ANSWER = Buffer.from(
  head(
    "HTTP/1.1 200 OK",
    "Content-Type: text/plain; charset=utf-8",
    "Cache-Control: no-store",
    `Content-Length: ${BODY.length}`,
  ) + BODY.toString(),
);

/** The key and its answer are the pair of RFC 6455 §1.3. */
export const HANDSHAKE = Buffer.from(
  head(
    "GET /ws HTTP/1.1",
    "Host: web.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
  ),
);

export const HANDSHAKE_ANSWER = Buffer.from(
  head(
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  ),
);

const MESSAGE_BYTES = 100;
const FINAL_BINARY = 0x82;
const MASKED = 0x80;
const MASK_BYTES = 4;

/** A client's message, one frame of RFC 6455 §5.2. Its mask is 0, so that the pod needn't unmask it: it takes the mask out, and that is the echo. */
export const MESSAGE = Buffer.concat([
  Buffer.from([FINAL_BINARY, MASKED | MESSAGE_BYTES, ...Buffer.alloc(MASK_BYTES)]),
  Buffer.alloc(MESSAGE_BYTES, "a"),
]);

/** The pod's echo of a client's message. */
export function echoOf(message: Buffer): Buffer {
  const echo = message.subarray(MASK_BYTES);
  echo[0] = FINAL_BINARY;
  echo[1] = MESSAGE_BYTES;
  return echo;
}
