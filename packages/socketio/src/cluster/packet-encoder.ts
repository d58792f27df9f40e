import { Encoder, PacketType } from "socket.io-parser";
import type { OutgoingPacket } from "./packet-entry.ts";
import type { StockNamespace, StockServer } from "./stock.ts";

/** Whether a server's clients speak the encoding that logs hold; else what comes from a log is encoded anew. */
export function hasStockParser(server: StockServer): boolean {
  return server.encoder instanceof Encoder;
}

/** An event as a namespace's server writes it to its clients. */
export function encodePacket(
  namespace: StockNamespace,
  { data, id }: OutgoingPacket,
): (string | Uint8Array)[] {
  const packet = { type: PacketType.EVENT, nsp: namespace.name, data };
  return namespace.server.encoder.encode(id === undefined ? packet : { ...packet, id });
}

/** About the bytes of an encoded packet. */
export function bytesOf(packets: readonly (string | Uint8Array)[]): number {
  return packets.reduce((sum, { length }) => sum + length, 0);
}
