import type { Socket } from "socket.io";

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

/** Hands packets that were missed to one socket, one after the other. */
export type HandOverAll = (
  socket: Socket,
  encodedPackets: readonly (readonly (string | Uint8Array)[])[],
  options: Pick<HandOverOptions, "compress">,
) => void;
