import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { RefusedEvent } from "../events.ts";

/** A connection over which requests can be read. */
export interface Accepted {
  /** What requests are read from and answers written to; made with `allowHalfOpen`. */
  readonly duplex: Duplex;
  /** The TCP connection that it stands on, which may be the same. */
  readonly socket: Socket;
  /** Who connected: the other end, or whom the PROXY protocol names. IPv4 addresses are written as such. */
  readonly client: string;
  /** What it connected to. */
  readonly address: string;
  /** It came over TLS. */
  readonly secure: boolean;
}

/**
 * What becomes of a connection before a request is read from it. One of these is called, once; none where the client
 * leaves by itself.
 */
export interface AcceptHandlers {
  accepted(accepted: Accepted): void;
  /** There is nothing to read requests from; the stage has closed the connection. `detail`: as the event has it. */
  refused(cause: RefusedEvent["cause"], detail?: string): void;
}

/** The stages between a new TCP connection and HTTP, such as a PROXY header and a TLS handshake. They bound their own time. */
export type Accept = (socket: Socket, handlers: AcceptHandlers) => void;

/** A connection as it is. */
export function acceptedAs(socket: Socket): Accepted {
  return {
    duplex: socket,
    socket,
    client: plainAddress(socket.remoteAddress),
    address: plainAddress(socket.localAddress),
    secure: false,
  };
}

/** An IPv4 address is written as such even on an IPv6 socket. */
export function plainAddress(address: string | undefined): string {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "") ?? "unknown";
}
