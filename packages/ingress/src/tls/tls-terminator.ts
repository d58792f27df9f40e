import type { KeyObject } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { type ServerCertificates, TLS_SETTINGS } from "./server-certificates.ts";
import { ticketKeys } from "./ticket-keys.ts";

export interface TlsTerminatorOptions {
  /** What the keys of session tickets are made from; with the same one elsewhere, sessions are resumed there too. */
  readonly ticketSecret: KeyObject | Uint8Array | string;
  /** Milliseconds for a handshake. */
  readonly handshakeTimeoutMs: number;
}

export interface HandshakeHandlers {
  /** The handshake is done; what comes is the client's own bytes. */
  secured(socket: TLSSocket): void;
  /** There is no connection any more. `code`: such as `ERR_TLS_HANDSHAKE_TIMEOUT`; ECONNRESET where the client left. */
  failed(code: string): void;
}

const LOOK_AT_TICKET_KEYS_MS = 3_600_000;

/**
 * The TLS end of one load balancer. Certificates can be replaced at any time: handshakes from then on see the new ones,
 * and connections that stand are not touched.
 */
export class TlsTerminator {
  readonly #options: TlsTerminatorOptions;
  /** Never listens: connections are handed to it, so that what comes before TLS can be read first. */
  readonly #server: Server;
  readonly #waiting = new Map<string, HandshakeHandlers>();
  readonly #ticketTimer: NodeJS.Timeout;
  #certificates: ServerCertificates;

  constructor(certificates: ServerCertificates, options: TlsTerminatorOptions) {
    this.#options = options;
    this.#certificates = certificates;
    this.#server = createServer({
      ...TLS_SETTINGS,
      ...certificates.first,
      ALPNProtocols: ["http/1.1"],
      handshakeTimeout: options.handshakeTimeoutMs,
      ticketKeys: this.#ticketKeys(),
      SNICallback: (host, done) => done(null, this.#certificates.contextFor(host)),
    });
    this.#server.on("secureConnection", (socket) => {
      // Whatever happens to it is told by its end; an error that nobody listens for would end the process.
      socket.on("error", () => {});
      const handlers = this.#take(socket);
      if (handlers) handlers.secured(socket);
      else socket.destroy();
    });
    this.#server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
      // A client that is gone has no address any more; its end is told by its connection.
      const handlers = this.#take(socket);
      socket.destroy();
      handlers?.failed(error.code ?? error.name);
    });
    this.#ticketTimer = setInterval(
      () => this.#server.setTicketKeys(this.#ticketKeys()),
      LOOK_AT_TICKET_KEYS_MS,
    ).unref();
  }

  /** Shows these certificates from now on. */
  show(certificates: ServerCertificates): void {
    if (certificates === this.#certificates) return;
    this.#certificates = certificates;
    this.#server.setSecureContext({
      ...TLS_SETTINGS,
      ...certificates.first,
      ticketKeys: this.#ticketKeys(),
    });
  }

  /** Takes a connection over for its handshake. Exactly one of the handlers is called, once. */
  handshake(socket: Socket, handlers: HandshakeHandlers): void {
    const name = nameOf(socket);
    this.#waiting.set(name, handlers);
    socket.once("close", () => {
      if (this.#waiting.get(name) === handlers) {
        this.#waiting.delete(name);
        handlers.failed("ECONNRESET");
      }
    });
    this.#server.emit("connection", socket);
  }

  close(): void {
    clearInterval(this.#ticketTimer);
  }

  #take(socket: Socket): HandshakeHandlers | undefined {
    const name = nameOf(socket);
    const handlers = this.#waiting.get(name);
    this.#waiting.delete(name);
    return handlers;
  }

  #ticketKeys(): Buffer {
    return ticketKeys(this.#options.ticketSecret, Date.now());
  }
}

/** A TLS socket doesn't tell which connection it stands on, but it has the same two ends. */
function nameOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
