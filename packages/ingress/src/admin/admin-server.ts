import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { listenError } from "../errors.ts";
import { METRICS_CONTENT_TYPE } from "./metric-family.ts";

/** Whether traffic may be sent here; if not, why not. */
export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string };

export interface AdminServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** In Prometheus' text format. */
  readonly metrics: () => Promise<string>;
  readonly readiness: () => Readiness;
}

/** Those that ask are a scraper and a kubelet. */
const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 5_000;

/**
 * The pages for those that run the ingress, on an address of their own: `/metrics`; `/healthz`, 200 while the process
 * lives; `/readyz`, 200 while traffic may be sent here, else 503 with the reason as JSON.
 */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #server: Server;

  constructor(options: AdminServerOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        maxHeaderSize: 8 * 1024,
        headersTimeout: REQUEST_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: REQUEST_TIMEOUT_MS,
      },
      (request, response) => {
        request.resume();
        if (request.method !== "GET" && request.method !== "HEAD") {
          response.setHeader("Allow", "GET, HEAD");
          answer(response, 405, { error: "only GET and HEAD" });
          return;
        }
        this.#page(request.url?.split("?")[0] ?? "", response);
      },
    );
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * @returns the address that is listened on
   * @throws IngressError `PORT_IN_USE`, `PORT_FORBIDDEN`, `ADDRESS_UNAVAILABLE`, `LISTEN_FAILED`
   */
  listen(): Promise<{ host: string; port: number }> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(listenError(error, host, port, "--admin-port")));
      this.#server.listen({ host, port }, () => {
        const address = this.#server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #page(path: string, response: ServerResponse): void {
    switch (path) {
      case "/metrics":
        this.#options.metrics().then(
          (text) => {
            response.setHeader("Content-Type", METRICS_CONTENT_TYPE);
            response.end(text);
          },
          (error: unknown) => answer(response, 500, { error: String(error) }),
        );
        break;
      case "/healthz":
        answer(response, 200, { alive: true });
        break;
      case "/readyz": {
        const readiness = this.#options.readiness();
        answer(response, readiness.ready ? 200 : 503, readiness);
        break;
      }
      default:
        answer(response, 404, { error: "there are /metrics, /healthz and /readyz" });
    }
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}
