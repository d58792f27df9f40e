/** A pod: answers the bench's requests, takes WebSockets and echoes their messages. */
export type PodCalls = {
  /** Where it listens on 127.0.0.1. */
  readonly port: { readonly argument: null; readonly reply: number };
};

/** A proxy that is a Node.js process. */
export type ProxyCalls = {
  /** Serves the pod at this port; answers where it listens on 127.0.0.1. */
  readonly serve: { readonly argument: { readonly podPort: number }; readonly reply: number };
  readonly collectGarbage: { readonly argument: null; readonly reply: undefined };
};

/** What is done over a connection, again and again: a request and its answer, or a message and its echo. */
export type Dialect = "http" | "webSocket";

/** The load generator: all clients of a run. Whatever comes back that isn't the right answer fails the call. */
export type LoadCalls = {
  /** Opens connections for `exchange`. */
  readonly open: {
    readonly argument: { readonly port: number; readonly dialect: Dialect; readonly connections: number };
    readonly reply: undefined;
  };
  /**
   * Each open connection has one exchange under way at any time, for so many milliseconds or until so many are done;
   * then the last ones are awaited. All of them are counted.
   */
  readonly exchange: {
    readonly argument: { readonly milliseconds: number } | { readonly count: number };
    readonly reply: Exchanged;
  };
  /** Closes what `open` opened. */
  readonly close: { readonly argument: null; readonly reply: undefined };
  /** Opens so many connections, a few at a time, and closes each after one exchange; every fourth is a WebSocket. */
  readonly churn: {
    readonly argument: { readonly port: number; readonly connections: number };
    readonly reply: undefined;
  };
  /** Opens so many WebSockets, proves each with one message, and keeps them. */
  readonly hold: {
    readonly argument: { readonly port: number; readonly connections: number };
    readonly reply: undefined;
  };
  /** Sends one message through every WebSocket that is held. */
  readonly proveHeld: { readonly argument: null; readonly reply: undefined };
};

export interface Exchanged {
  readonly count: number;
  readonly seconds: number;
  /** Milliseconds from the sending of a request or message to the last byte of its answer. */
  readonly p50: number;
  readonly p99: number;
}
