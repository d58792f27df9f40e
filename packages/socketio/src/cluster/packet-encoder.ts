import type { Namespace, Server } from "socket.io";
import { Encoder, PacketType } from "socket.io-parser";
import { encoderOf } from "../stock.ts";
import type { OutgoingPacket } from "./packet-entry.ts";

/** Whether a server's clients speak the encoding that logs hold; else what comes from a log is encoded anew. */
export function hasStockParser(server: Server): boolean {
  return encoderOf(server) instanceof Encoder;
}

/** An event as a namespace's server writes it to its clients. */
export function encodePacket(namespace: Namespace, { data, id }: OutgoingPacket): (string | Uint8Array)[] {
  const packet = { type: PacketType.EVENT, nsp: namespace.name, data };
  return encoderOf(namespace.server).encode(id === undefined ? packet : { ...packet, id });
}

/** About the bytes of an encoded packet. */
export function bytesOf(packets: readonly (string | Uint8Array)[]): number {
  return packets.reduce((sum, { length }) => sum + length, 0);
}
