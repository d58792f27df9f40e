import type { Batch } from "../calls.ts";

/** What connects the servers. */
export type Connection = "Holdfast" | "redis-adapter" | "redis-streams-adapter";

/** One of several servers. */
export type NodeCalls = {
  readonly open: {
    readonly argument: { readonly url: string; readonly name: string; readonly connection: Connection };
    readonly reply: { readonly port: number };
  };
  /** Resolves once it knows so many servers, itself included, and so many of its clients are in the room. */
  readonly ready: {
    readonly argument: { readonly servers: number; readonly clients: number };
    readonly reply: undefined;
  };
  /** Sends `count` messages to the room in one tick, numbered from `first`. */
  readonly publish: { readonly argument: Batch; readonly reply: undefined };
};
