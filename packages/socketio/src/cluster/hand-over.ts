import type { Socket } from "socket.io";
import type { StockSocket } from "./stock.ts";

export interface HandOverOptions {
  /** Left out for a socket that can't take it now. */
  readonly volatile: boolean;
  /** Whether the transport may compress it. */
  readonly compress: boolean;
}

/** Hands one packet, encoded, to sockets of this node: as `socket.client.writeToEngine` for each of them. */
export type HandOver = (
  sockets: readonly Socket[],
  encodedPackets: readonly (string | Uint8Array)[],
  options: HandOverOptions,
) => void;

export const handOver: HandOver = (sockets, encodedPackets, options) => {
  for (const socket of sockets) {
    (socket as unknown as StockSocket).client.writeToEngine(encodedPackets, { ...options });
  }
};
