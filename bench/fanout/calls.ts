/** How a subject is spoken to: bare frames, a Socket.IO room that the server joins, or a Holdfast channel. */
export type Dialect = "frames" | "room" | "channel";

/** The room, and the channel, that every subscriber is in. */
export const ROOM = "bench";

/** The server's side. */
export type ServerCalls = {
  readonly address: {
    readonly argument: null;
    readonly reply: { readonly port: number; readonly dialect: Dialect };
  };
  /** Sends `count` messages in one tick, numbered from `first`. */
  readonly publish: { readonly argument: Batch; readonly reply: undefined };
};

export interface Batch {
  readonly first: number;
  readonly count: number;
}

/** The load generator's side. */
export type LoadCalls = {
  /** Resolves when all subscribers are in the room. */
  readonly connect: {
    readonly argument: { readonly port: number; readonly dialect: Dialect; readonly clients: number };
    readonly reply: undefined;
  };
  /**
   * Resolves when every subscriber has every message from 0 to below `next`; rejects when one was lost (the last
   * one: has not come within the time), doubled or overtaken.
   */
  readonly received: {
    readonly argument: { readonly next: number; readonly timeoutMs: number };
    readonly reply: undefined;
  };
  /** Begins to note latencies, of this many deliveries. */
  readonly begin: { readonly argument: { readonly deliveries: number }; readonly reply: undefined };
  /** Whether what comes now is noted. */
  readonly note: { readonly argument: boolean; readonly reply: undefined };
  /** What was noted since. */
  readonly end: { readonly argument: null; readonly reply: Latency };
};

/** From the publish to the frame's arrival in the load generator, in microseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
}
