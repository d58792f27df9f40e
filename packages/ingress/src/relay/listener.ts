import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Backend } from "../backend.ts";
import { listenError } from "../errors.ts";
import type { IngressEvent, RefusedEvent } from "../events.ts";
import type { ResolvedOptions } from "../options.ts";
import type { ListenerStatus } from "../status.ts";
import {
  answerWithPage,
  BAD_REQUEST,
  type ErrorPage,
  HEAD_TOO_LARGE,
  NOT_FOUND,
  REQUEST_TIMEOUT,
  writePage,
} from "./error-page.ts";
import { type Ends, Exchange, endsOf } from "./exchange.ts";
import { HttpRelay } from "./relay-http.ts";
import { UpgradeRelay } from "./relay-upgrade.ts";
import { type RequestHead, readHead } from "./request-head.ts";
import type { UpstreamAgents } from "./upstream-agents.ts";

export interface ListenerOptions {
  readonly loadBalancer: string;
  readonly options: ResolvedOptions;
  readonly agents: UpstreamAgents;
  readonly onEvent: (event: IngressEvent) => void;
  /** The backend of a request by the routing model of this moment. */
  readonly route: (hostname: string, path: string) => Backend | undefined;
}

/** The address of one load balancer: takes connections, reads heads, refuses what is malformed, and hands on. */
export class Listener {
  readonly #given: ListenerOptions;
  readonly #server: Server;
  /** Each open connection with the number of requests that are open on it. */
  readonly #connections = new Map<Socket, number>();
  #accepted = 0;
  #closing: Promise<void> | undefined;

  constructor(given: ListenerOptions) {
    this.#given = given;
    const { options } = given;
    this.#server = createServer({
      insecureHTTPParser: false,
      maxHeaderSize: options.maxHeaderBytes,
      headersTimeout: options.headersTimeoutMs,
      connectionsCheckingInterval: Math.min(1000, options.headersTimeoutMs),
      keepAliveTimeout: options.clientIdleTimeoutMs,
      // The backend service's own timeout bounds a request.
      requestTimeout: 0,
      // A missing Host is refused in readHead, with the page that every malformed request gets.
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: isWebSocketOffer,
    });
    this.#server.maxConnections = options.maxConnections;
    // Node drops the fields past this count without a word; the head's size bounds them already.
    this.#server.maxHeadersCount = 0;
    this.#server.on("connection", (socket: Socket) => {
      this.#accepted += 1;
      this.#connections.set(socket, 0);
      socket.on("error", () => {});
      socket.once("close", () => this.#connections.delete(socket));
    });
    this.#server.on("drop", (dropped) => {
      this.#refuse("too-many-connections", dropped?.remoteAddress ?? "unknown", 0);
    });
    this.#server.on("request", (request, response) => this.#serve(request, response));
    this.#server.on("upgrade", (request, socket, early) => this.#upgrade(request, socket as Socket, early));
    this.#server.on("clientError", (error, socket) => this.#malformed(error, socket as Socket));
  }

  /**
   * @param port 0: any free one
   * @throws IngressError `PORT_IN_USE`, `PORT_FORBIDDEN`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED`
   */
  listen(host: string, port: number, reusePort = false): Promise<{ host: string; port: number }> {
    return new Promise((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(listenError(error, host, port));
      this.#server.once("error", failed);
      this.#server.listen({ host, port, reusePort }, () => {
        this.#server.off("error", failed);
        // A listening socket's errors are of single connections it could not accept, such as EMFILE.
        this.#server.on("error", () => this.#refuse("too-many-connections", "unknown", 0));
        const address = this.#server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  status(): ListenerStatus {
    const { loadBalancer } = this.#given;
    return { loadBalancer, tls: false, open: this.#connections.size, accepted: this.#accepted };
  }

  /** Stops accepting, ends idle connections, lets the others go on for the time, and destroys what is left. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      const timer = setTimeout(() => {
        for (const socket of this.#connections.keys()) socket.destroy();
      }, graceMs);
      this.#server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
    return this.#closing;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const open = (this.#connections.get(socket) ?? 0) + 1;
    const ends = endsOf(socket);
    response.on("error", () => {});
    request.on("error", () => {});
    if (open > this.#given.options.maxPipelined) {
      this.#refuse("too-many-requests", ends.client, 0);
      socket.destroy();
      return;
    }
    if (this.#connections.has(socket)) this.#connections.set(socket, open);
    response.once("close", () => {
      const left = this.#connections.get(socket);
      if (left !== undefined) this.#connections.set(socket, left - 1);
      if (this.#closing) setImmediate(() => this.#server.closeIdleConnections());
    });
    if (this.#closing) response.shouldKeepAlive = false;

    const answer = (page: ErrorPage) =>
      answerWithPage(response, page, response.shouldKeepAlive && request.complete && page.status === 404);
    const exchange = this.#admit(request, ends, answer);
    if (exchange) {
      new HttpRelay(exchange, request, response, this.#given.agents, this.#given.options).start();
    }
  }

  #upgrade(request: IncomingMessage, socket: Socket, early: Buffer): void {
    request.on("error", () => {});
    if (!isWebSocketOffer(request)) {
      this.#serveDetached(request, socket);
      return;
    }
    const exchange = this.#admit(request, endsOf(socket), (page) => writePage(socket, page));
    if (exchange) new UpgradeRelay(exchange, request, socket, early, this.#given.options).start();
  }

  /** Node 22 has no `shouldUpgradeCallback`: it hands over every offer, with its connection, which ends with the answer. */
  #serveDetached(request: IncomingMessage, socket: Socket): void {
    if (Number(request.headers["content-length"] ?? 0) > 0 || request.headers["transfer-encoding"]) {
      // What follows the head is not parsed any more.
      this.#refuse("malformed-request", endsOf(socket).client, BAD_REQUEST.status);
      writePage(socket, BAD_REQUEST);
      return;
    }
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once("finish", () => socket.end());
    this.#serve(request, response);
  }

  /** Finds the backend of a request, or answers it here. */
  #admit(request: IncomingMessage, ends: Ends, answer: (page: ErrorPage) => void): Exchange | undefined {
    const { loadBalancer, options, onEvent, route } = this.#given;
    const startedAt = performance.now();
    const head = readHead(request);
    if ("status" in head) {
      this.#refuse("malformed-request", ends.client, head.status);
      answer(head);
      return undefined;
    }
    const backend = route(head.hostname, head.path);
    if (!backend) {
      answer(NOT_FOUND);
      onEvent({ type: "request", loadBalancer, ...ownAnswer(head, ends), ms: performance.now() - startedAt });
      return undefined;
    }
    const cookieHeader = request.headers.cookie;
    return new Exchange({
      head,
      ends,
      backend,
      loadBalancer,
      cookieHeader,
      maxTries: options.maxTries,
      onEvent,
    });
  }

  /** What Node's parser refused, or a head that did not arrive in time. */
  #malformed(error: NodeJS.ErrnoException, socket: Socket): void {
    const answerable = socket.writable && (this.#connections.get(socket) ?? 0) === 0;
    const client = endsOf(socket).client;
    switch (error.code) {
      case "ECONNRESET":
      case "EPIPE":
        socket.destroy();
        return;
      case "HPE_HEADER_OVERFLOW":
        this.#refuse("head-too-large", client, answerable ? 431 : 0);
        if (answerable) writePage(socket, HEAD_TOO_LARGE);
        break;
      case "ERR_HTTP_REQUEST_TIMEOUT":
        this.#refuse("head-timeout", client, answerable ? 408 : 0);
        if (answerable) writePage(socket, REQUEST_TIMEOUT);
        break;
      default:
        this.#refuse("malformed-request", client, answerable ? 400 : 0);
        if (answerable) writePage(socket, BAD_REQUEST);
    }
    // An answer here would land in the middle of the one that is on its way.
    if (!answerable) socket.destroy();
  }

  #refuse(cause: RefusedEvent["cause"], client: string, status: number): void {
    this.#given.onEvent({ type: "refused", loadBalancer: this.#given.loadBalancer, client, cause, status });
  }
}

/** GKE's load balancer upgrades to WebSocket and ignores other offers, which HTTP lets any server do. */
function isWebSocketOffer(request: IncomingMessage): boolean {
  return request.headers.upgrade?.toLowerCase() === "websocket";
}

function ownAnswer(head: RequestHead, ends: Ends) {
  return {
    client: ends.client,
    method: head.method,
    host: head.hostname,
    path: head.path,
    outcome: "no-route",
    status: NOT_FOUND.status,
    tries: 0,
  } as const;
}
