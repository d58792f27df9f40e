/** How Socket.IO's servers are connected: which adapter, over Redis. */
export type Adapter = "redis" | "redis, sharded" | "redis streams";

/** A node: one process, with connections of its own to the broker. */
export type NodeCalls = {
  /** Follows these channels. */
  readonly open: {
    readonly argument: {
      readonly url: string;
      readonly channels: readonly string[];
      readonly adapter: Adapter | undefined;
    };
    readonly reply: undefined;
  };
  /** Publishes the messages of these numbers to each of these channels. */
  readonly publish: { readonly argument: Publishing; readonly reply: undefined };
  /** Publishes one to each of these channels that only shows whether it is followed already. */
  readonly probe: { readonly argument: { readonly channels: readonly string[] }; readonly reply: undefined };
  /** Resolves once each of the node's channels has delivered a probe. */
  readonly follows: { readonly argument: null; readonly reply: undefined };
  /** Resolves once the message of this number has been delivered on each of the node's channels, and those before it. */
  readonly delivered: { readonly argument: { readonly number: number }; readonly reply: undefined };
  /** What the node's connections to the broker have received. */
  readonly receivedBytes: { readonly argument: null; readonly reply: number };
};

export interface Publishing {
  readonly channels: readonly string[];
  readonly first: number;
  readonly count: number;
}
