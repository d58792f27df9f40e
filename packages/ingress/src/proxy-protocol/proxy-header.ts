import { isIPv4, isIPv6 } from "node:net";

/** What a proxy says of the connection that it passes on. */
export interface ProxyHeader {
  /** Bytes of the header; what follows is the client's. */
  readonly length: number;
  /** Absent: the proxy speaks for itself, or doesn't know. The connection's own ends count then. */
  readonly ends?: ProxiedEnds;
}

export interface ProxiedEnds {
  /** The client. */
  readonly source: string;
  readonly sourcePort: number;
  /** What the client connected to. */
  readonly destination: string;
  readonly destinationPort: number;
}

/** `incomplete`: so far it may be one. `malformed`: it can't become one. */
export type ProxyHeaderResult = ProxyHeader | "incomplete" | "malformed";

/** A line of version 1 with its line break. */
const V1_MAX_BYTES = 107;
const V1_PREFIX = Buffer.from("PROXY ");
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;
/** Of the addresses and fields of version 2. Its length field could say 65,535, which nobody sends. */
export const V2_MAX_BYTES = 4096;

/**
 * Reads the header of the PROXY protocol, version 1 or 2, that a connection must begin with.
 *
 * Strict: what HAProxy's `proxy-protocol.txt` doesn't allow is malformed, and leading zeros in ports too. Version 2's
 * extra fields (TLVs) are skipped, but must be whole; their checksum isn't looked at. Of datagrams and Unix sockets the
 * addresses are not used.
 *
 * @param bytes what has come so far; only its beginning is looked at
 */
export function readProxyHeader(bytes: Buffer): ProxyHeaderResult {
  if (startsLike(bytes, V2_SIGNATURE)) return readVersion2(bytes);
  if (startsLike(bytes, V1_PREFIX)) return readVersion1(bytes);
  return "malformed";
}

/** Whether the bytes and the prefix are the same as far as both go. */
function startsLike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.compare(prefix, 0, length, 0, length) === 0;
}

function readVersion1(bytes: Buffer): ProxyHeaderResult {
  const line = bytes.toString("latin1", 0, Math.min(bytes.length, V1_MAX_BYTES));
  const end = line.indexOf("\r\n");
  if (end === -1) return bytes.length < V1_MAX_BYTES && !line.includes("\n") ? "incomplete" : "malformed";
  const length = end + 2;
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = "", ...rest] = line
    .slice(0, end)
    .split(" ");
  // Whatever follows UNKNOWN must be ignored.
  if (family === "UNKNOWN") return { length };
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isPlainIPv6 : () => false;
  if (rest.length > 0 || !isAddress(source) || !isAddress(destination)) return "malformed";
  if (!isPort(sourcePort) || !isPort(destinationPort)) return "malformed";
  return {
    length,
    ends: { source, sourcePort: Number(sourcePort), destination, destinationPort: Number(destinationPort) },
  };
}

/** A zone (`fe80::1%eth0`) means nothing on another machine. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes("%");
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) < 65_536;
}

function readVersion2(bytes: Buffer): ProxyHeaderResult {
  if (bytes.length < V2_FIXED_BYTES) {
    return bytes.length > 12 && bytes[12] !== 0x20 && bytes[12] !== 0x21 ? "malformed" : "incomplete";
  }
  const command = bytes[12];
  const family = bytes[13];
  const payload = bytes.readUInt16BE(14);
  if ((command !== 0x20 && command !== 0x21) || payload > V2_MAX_BYTES) return "malformed";
  const length = V2_FIXED_BYTES + payload;
  if (bytes.length < length) return "incomplete";
  // LOCAL: the proxy's own connection, such as a health check; the rest must be skipped unread.
  if (command === 0x20) return { length };
  const wide = family === 0x21;
  if (family !== 0x11 && !wide) return { length };
  const size = wide ? 16 : 4;
  const fields = V2_FIXED_BYTES + 2 * size + 4;
  if (fields > length || !areWholeFields(bytes, fields, length)) return "malformed";
  const addressAt = (at: number) => (wide ? ipv6At(bytes, at) : bytes.subarray(at, at + 4).join("."));
  return {
    length,
    ends: {
      source: addressAt(V2_FIXED_BYTES),
      sourcePort: bytes.readUInt16BE(fields - 4),
      destination: addressAt(V2_FIXED_BYTES + size),
      destinationPort: bytes.readUInt16BE(fields - 2),
    },
  };
}

/** Type, two bytes of length, value; one after the other, to the very end. */
function areWholeFields(bytes: Buffer, from: number, to: number): boolean {
  let at = from;
  while (at + 3 <= to) at += 3 + bytes.readUInt16BE(at + 1);
  return at === to;
}

/** In the form that a socket of the machine would have it (RFC 5952). */
function ipv6At(bytes: Buffer, at: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
