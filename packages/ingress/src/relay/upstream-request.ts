import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { EndpointState } from "../endpoints/endpoint-state.ts";

export interface UpstreamRequest {
  readonly state: EndpointState;
  /** Undefined: over a connection of its own. */
  readonly agent: Agent | undefined;
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly connectTimeoutMs: number;
  readonly maxHeaderBytes: number;
}

/** How far a request came before it failed. */
export interface UpstreamFailure {
  /** `connect`: no byte of the request has left. `sent`: the pod may have acted on it. `answered`: it had begun to answer. */
  readonly stage: "connect" | "sent" | "answered";
  /** It went over a connection that had served before, and that the pod may just have closed for being idle. */
  readonly reused: boolean;
  /** Such as `ECONNREFUSED`. */
  readonly code: string;
}

/** One of `response`, `upgraded` and `failed` is called, once; none after `abort`. */
export interface UpstreamHandlers {
  /** The connection stands; the request's body may be written, and must be ended. */
  connected(request: ClientRequest): void;
  response(response: IncomingMessage): void;
  /** Where this is absent a 101 is a failure. */
  upgraded?(response: IncomingMessage, socket: Socket, head: Buffer): void;
  failed(failure: UpstreamFailure): void;
}

export interface UpstreamCall {
  /** Ends the call, and the connection with it. */
  abort(): void;
}

/**
 * Sends one request to one endpoint.
 *
 * @throws TypeError when the head can't be written as HTTP/1.1
 */
export function openUpstream(upstream: UpstreamRequest, handlers: UpstreamHandlers): UpstreamCall {
  const { address: host, port } = upstream.state.endpoint;
  let stage: UpstreamFailure["stage"] = "connect";
  let settled = false;
  let bytesBefore = 0;
  const request = httpRequest({
    host,
    port,
    method: upstream.method,
    path: upstream.target,
    headers: upstream.headers,
    maxHeaderSize: upstream.maxHeaderBytes,
    insecureHTTPParser: false,
    ...(upstream.agent
      ? { agent: upstream.agent }
      : // After an upgrade a pod that ends its half of the connection may still be listening on the other.
        { createConnection: () => connect({ host, port, allowHalfOpen: true }) }),
  });
  const settle = (handle: () => void) => {
    if (settled) return;
    settled = true;
    handle();
  };
  const fail = (code: string) =>
    settle(() => {
      const { socket, reusedSocket } = request;
      if (stage === "sent" && socket && socket.bytesRead > bytesBefore) stage = "answered";
      handlers.failed({ stage, reused: reusedSocket, code });
    });

  request.maxHeadersCount = 0;
  request.on("socket", (socket) => {
    socket.setNoDelay(true);
    const connected = () => {
      stage = "sent";
      bytesBefore = socket.bytesRead;
      if (!settled) handlers.connected(request);
    };
    if (!socket.connecting) {
      connected();
      return;
    }
    const timer = setTimeout(() => {
      fail("ETIMEDOUT");
      request.destroy();
    }, upstream.connectTimeoutMs);
    socket.once("connect", connected);
    socket.once("connect", () => clearTimeout(timer));
    socket.once("close", () => clearTimeout(timer));
  });
  request.on("response", (response) => settle(() => handlers.response(response)));
  request.on("upgrade", (response, socket, head) => {
    if (handlers.upgraded) {
      settle(() => handlers.upgraded?.(response, socket as Socket, head));
    } else {
      fail("EPROTO");
      socket.destroy();
    }
  });
  request.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.name));
  request.on("close", () => fail("ECONNRESET"));
  return {
    abort() {
      settled = true;
      request.destroy();
    },
  };
}
