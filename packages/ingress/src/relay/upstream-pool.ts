import type { EndpointState } from "../endpoints/endpoint-state.ts";
import type { Clock } from "./clock.ts";
import { UpstreamConnection, type UpstreamUser } from "./upstream-connection.ts";

export interface UpstreamPoolOptions {
  readonly clock: Clock;
  readonly maxIdleUpstream: number;
  readonly connectTimeoutMs: number;
  readonly maxHeaderBytes: number;
}

/** The connections that are kept to each endpoint between requests; the one that was used last is taken first. */
export class UpstreamPool {
  readonly #options: UpstreamPoolOptions;
  readonly #idle = new Map<EndpointState, UpstreamConnection[]>();
  /** Every connection that is open or being opened. */
  readonly #all = new Set<UpstreamConnection>();

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
  }

  /** Connections that are open or being opened, idle ones and others. */
  get size(): number {
    return this.#all.size;
  }

  /** Whether a connection is idle. */
  has(state: EndpointState): boolean {
    return (this.#idle.get(state)?.length ?? 0) > 0;
  }

  /** A connection that is idle; undefined when there is none. */
  take(state: EndpointState): UpstreamConnection | undefined {
    return this.#idle.get(state)?.pop();
  }

  /** A new connection; its user hears of its fate. */
  open(state: EndpointState, user: UpstreamUser): UpstreamConnection {
    const connection = new UpstreamConnection(state, user, this, this.#options);
    this.#all.add(connection);
    return connection;
  }

  /** Keeps a connection for the next request. @returns false when it is one too many, or its endpoint has left */
  keep(connection: UpstreamConnection): boolean {
    const { state } = connection;
    if (state.removed) return false;
    const idle = this.#idle.get(state);
    if (!idle) this.#idle.set(state, [connection]);
    else if (idle.length < this.#options.maxIdleUpstream) idle.push(connection);
    else return false;
    return true;
  }

  /** A connection is gone. */
  forget(connection: UpstreamConnection): void {
    this.#all.delete(connection);
    const idle = this.#idle.get(connection.state);
    const index = idle?.lastIndexOf(connection) ?? -1;
    if (idle && index !== -1) idle.splice(index, 1);
    if (idle?.length === 0) this.#idle.delete(connection.state);
  }

  /** Closes an endpoint's idle connections. The others are closed once they become idle, since it has left. */
  release(state: EndpointState): void {
    const idle = this.#idle.get(state);
    this.#idle.delete(state);
    for (const connection of idle ?? []) connection.destroy();
  }
}
