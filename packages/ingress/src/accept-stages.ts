import type { Socket } from "node:net";
import { takeProxyHeader } from "./proxy-protocol/take-proxy-header.ts";
import { type Accept, type Accepted, type AcceptHandlers, acceptedAs, plainAddress } from "./relay/accept.ts";
import type { TlsTerminator } from "./tls/tls-terminator.ts";

export interface AcceptStages {
  /** Every connection begins with a PROXY header. */
  readonly proxyProtocol?:
    | {
        readonly timeoutMs: number;
        /** Whether who connects may say whom it speaks for; anybody else is turned away. */
        readonly believes: (address: string) => boolean;
      }
    | undefined;
  /** Every connection is one of TLS; the handshake comes after the PROXY header. */
  readonly tls?: TlsTerminator | undefined;
}

/** The stages of a listener. A client that leaves before it is through is not refused, and so not told of. */
export function acceptThrough({ proxyProtocol, tls }: AcceptStages): Accept {
  const secure = (socket: Socket, plain: Accepted, handlers: AcceptHandlers) => {
    if (!tls) {
      handlers.accepted(plain);
      return;
    }
    tls.handshake(socket, {
      secured: (duplex) => handlers.accepted({ ...plain, duplex, secure: true }),
      failed: (code) => {
        if (code !== "ECONNRESET") handlers.refused("tls", code);
      },
    });
  };
  if (!proxyProtocol) return (socket, handlers) => secure(socket, acceptedAs(socket), handlers);
  const { timeoutMs, believes } = proxyProtocol;
  return (socket, handlers) => {
    const direct = acceptedAs(socket);
    if (!believes(direct.client)) {
      socket.destroy();
      handlers.refused("proxy-header", "untrusted");
      return;
    }
    takeProxyHeader(socket, timeoutMs, {
      taken: ({ ends }) => {
        const client = ends && plainAddress(ends.source);
        const address = ends && plainAddress(ends.destination);
        secure(socket, client && address ? { ...direct, client, address } : direct, handlers);
      },
      failed: (cause) => {
        if (cause !== "closed") handlers.refused("proxy-header", cause);
      },
    });
  };
}
