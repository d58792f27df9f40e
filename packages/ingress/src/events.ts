import type { BackendServiceId } from "@holdfast/routing";

/**
 * Why a request went to its endpoint. `session`: it holds the Engine.IO session that the request names. `cookie`,
 * `client-ip`: the client's cookie or address belongs to it. `new`: the client had no cookie that counts.
 * `round-robin`: it was its turn. `failed-over`: not to the one that the session, cookie or address belongs to, or
 * not to the first that was tried, because that one can't be used.
 */
export type Reason = "session" | "cookie" | "client-ip" | "new" | "round-robin" | "failed-over";

/**
 * How a request ended. `answered`: with the pod's own answer, whole. `no-route`: 404, no host or path matched.
 * `no-healthy-endpoint`: 502, by class `holdfast` 503. `connect-failed`: 502. `pod-closed`: 502, or cut off when part of the answer had been
 * sent. `timeout`: the backend service's timeout; 504, or cut off. `client-closed`: the client left. `drained`: its
 * endpoint was removed and the draining time is over. `malformed`: the request's body is (400), is too large (413), or took too long (408).
 */
export type Outcome =
  | "answered"
  | "no-route"
  | "no-healthy-endpoint"
  | "connect-failed"
  | "pod-closed"
  | "timeout"
  | "client-closed"
  | "drained"
  | "malformed";

/** A request has ended, or an upgrade was accepted (status 101; its end is an `upgrade-closed`). */
export interface RequestEvent {
  readonly type: "request";
  readonly loadBalancer: string;
  readonly client: string;
  readonly method: string;
  readonly host: string;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  readonly backendService?: BackendServiceId;
  /** The pod that was asked last. */
  readonly pod?: string;
  readonly reason?: Reason;
  readonly outcome: Outcome;
  /** As the client was told; 0 when it was told nothing. */
  readonly status: number;
  /** Endpoints that were tried. */
  readonly tries: number;
  readonly ms: number;
  /** From the request's head on its way to the pod until the head of the answer. */
  readonly upstreamMs?: number;
  /** Of the request's body, framing included. */
  readonly bytesIn?: number;
  /** Of the answer's body, framing included. */
  readonly bytesOut?: number;
}

export interface UpgradeClosedEvent {
  readonly type: "upgrade-closed";
  readonly loadBalancer: string;
  readonly client: string;
  readonly backendService: BackendServiceId;
  readonly pod: string;
  /** Who ended it, or what. */
  readonly cause: "client" | "pod" | "timeout" | "drained";
  /** Since the request came. */
  readonly ms: number;
  /** From the client. */
  readonly bytesIn?: number;
  /** From the pod. */
  readonly bytesOut?: number;
}

/** An endpoint could not be connected to, or did not answer several times in a row, and is passed over for a while. */
export interface EndpointDownEvent {
  readonly type: "endpoint-down";
  readonly backendService: BackendServiceId;
  readonly pod: string;
  /** ip:port */
  readonly endpoint: string;
  /** Such as `ECONNREFUSED`. */
  readonly cause: string;
  /** For how long, at most. */
  readonly ms: number;
}

/** An endpoint is no longer passed over: its time is up, it was declared healthy anew, connected to, or it answered. */
export interface EndpointUpEvent {
  readonly type: "endpoint-up";
  readonly backendService: BackendServiceId;
  readonly pod: string;
  readonly endpoint: string;
  readonly cause: "expired" | "healthy" | "connected" | "answered";
}

/** The health check found an endpoint well: it is given requests. */
export interface EndpointHealthyEvent {
  readonly type: "endpoint-healthy";
  readonly backendService: BackendServiceId;
  readonly pod: string;
  readonly endpoint: string;
}

/** An endpoint gets no requests: the health check found it unwell, or it has ended. */
export interface EndpointUnhealthyEvent {
  readonly type: "endpoint-unhealthy";
  readonly backendService: BackendServiceId;
  readonly pod: string;
  readonly endpoint: string;
  /** For people, such as `GET /healthz answered 404, want 200`. Holds parts of a manifest, so it is to be quoted. */
  readonly cause: string;
}

/**
 * A client was turned away, because of what it sent or of how much there is already. `proxy-header`: the connection
 * doesn't begin with a PROXY header, or not from whom that is believed. `tls`: the handshake failed.
 */
export interface RefusedEvent {
  readonly type: "refused";
  readonly loadBalancer: string;
  readonly client: string;
  readonly cause:
    | "malformed-request"
    | "head-too-large"
    | "head-timeout"
    | "body-too-large"
    | "body-timeout"
    | "too-many-connections"
    | "too-many-connections-of-client"
    | "too-many-upgrades"
    | "proxy-header"
    | "tls";
  /** As the client was told; 0 when it was told nothing. */
  readonly status: number;
  /** More of the cause, in words of ours or of OpenSSL's, such as `ERR_SSL_NO_APPLICATION_PROTOCOL`. */
  readonly detail?: string;
}

export type IngressEvent =
  | RequestEvent
  | UpgradeClosedEvent
  | EndpointDownEvent
  | EndpointUpEvent
  | EndpointHealthyEvent
  | EndpointUnhealthyEvent
  | RefusedEvent;
