import { isIPv4 } from "node:net";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** A header of PROXY version 2 with these bytes after the length. */
export function version2(command: number, family: number, payload: Uint8Array): Buffer {
  const fixed = Buffer.from([command, family, payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, payload]);
}

/** What a proxy sends ahead of a client's bytes, in version 2. */
export function proxied(source: string, sourcePort: number, destination: string, port: number): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(sourcePort, 0);
  ports.writeUInt16BE(port, 2);
  const family = isIPv4(source) ? 0x11 : 0x21;
  return version2(0x21, family, Buffer.concat([addressBytes(source), addressBytes(destination), ports]));
}

/** IPv6 in full form only: eight groups. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const groups = address.split(":").map((group) => group.padStart(4, "0"));
  return Buffer.from(groups.join(""), "hex");
}
