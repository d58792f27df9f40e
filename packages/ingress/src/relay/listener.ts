import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { listenError } from "../errors.ts";
import type { RefusedEvent } from "../events.ts";
import type { ListenerStatus } from "../status.ts";
import { type Accept, type Accepted, plainAddress } from "./accept.ts";
import { ClientConnection } from "./client-connection.ts";
import type { ConnectionCounts } from "./connection-counts.ts";
import { TOO_MANY_CONNECTIONS, writePage } from "./error-page.ts";
import type { RelayContext } from "./relay-context.ts";

/** When the system looks whether a client that is silent is still there, ms. */
const PROBE_AFTER_MS = 60_000;

/** The address of one load balancer: takes connections, as many as it may, and closes them in the end. */
export class Listener {
  readonly #context: RelayContext;
  readonly #counts: ConnectionCounts;
  readonly #accept: Accept;
  readonly #server: Server;
  /** Every connection that is open, those from which no request can be read yet included. */
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<ClientConnection>();
  #acceptedCount = 0;
  #closing: Promise<void> | undefined;

  constructor(context: RelayContext, counts: ConnectionCounts, accept: Accept) {
    this.#context = context;
    this.#counts = counts;
    this.#accept = accept;
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS },
      (socket) => this.#connected(socket),
    );
    this.#server.maxConnections = context.options.maxConnections;
    this.#server.on("drop", (dropped) => {
      this.#refuse("too-many-connections", plainAddress(dropped?.remoteAddress), 0);
    });
  }

  status(): ListenerStatus {
    const { loadBalancer, tls } = this.#context;
    return { loadBalancer, tls, open: this.#sockets.size, accepted: this.#acceptedCount };
  }

  /**
   * @param port 0: any free one
   * @throws IngressError `PORT_IN_USE`, `PORT_FORBIDDEN`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED`
   */
  listen(
    host: string,
    port: number,
    { reusePort = false, portFlag }: { reusePort?: boolean; portFlag?: string | undefined } = {},
  ): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, portFlag));
      this.#server.once("error", failed);
      this.#server.listen({ host, port, backlog: 4096, reusePort }, () => {
        this.#server.off("error", failed);
        // A listening socket's errors are of single connections it could not accept, such as EMFILE.
        this.#server.on("error", () => this.#refuse("too-many-connections", "unknown", 0));
        const address = this.#server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /**
   * Stops accepting, closes idle connections, lets the others go on for the time, and destroys what is left. What is
   * answered meanwhile says that its connection ends. Of several calls the shortest time counts.
   */
  close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    this.#closing ??= new Promise((resolve) => {
      this.#context.closing = true;
      this.#server.close(() => resolve());
      for (const connection of this.#connections) if (connection.idle) connection.peer.destroy();
    });
    return this.#closing.then(() => clearTimeout(timer));
  }

  #connected(socket: Socket): void {
    this.#acceptedCount++;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
    const client = plainAddress(socket.remoteAddress);
    this.#accept(socket, {
      accepted: (accepted) => this.#accepted(accepted),
      refused: (cause, detail) => this.#refuse(cause, client, 0, detail),
    });
  }

  #accepted(accepted: Accepted): void {
    const { client, duplex } = accepted;
    const { trustedProxies, face } = this.#context;
    // A proxy in front has the connections of many.
    const counted = !trustedProxies.trusts(client);
    if (counted && !this.#counts.take(client)) {
      this.#refuse("too-many-connections-of-client", client, TOO_MANY_CONNECTIONS.status);
      duplex.on("error", () => {});
      duplex.end(writePage(TOO_MANY_CONNECTIONS, { face: face(), close: true }), "latin1", () =>
        duplex.destroy(),
      );
      return;
    }
    const connection = new ClientConnection(accepted, this.#context, (closed) => {
      this.#connections.delete(closed);
      if (counted) this.#counts.release(client);
    });
    this.#connections.add(connection);
  }

  #refuse(cause: RefusedEvent["cause"], client: string, status: number, detail?: string): void {
    const { onEvent, loadBalancer } = this.#context;
    const more = detail === undefined ? {} : { detail };
    onEvent({ type: "refused", loadBalancer, client, cause, status, ...more });
  }
}
