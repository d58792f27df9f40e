/** What connects the servers, and keeps what a client missed. */
export type Connection = "Holdfast" | "redis-streams-adapter";

/** The room that every client is in. */
export const ROOM = "storm";

/** One of the servers. */
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
  /** Sends message after message to the room, numbered from 0, until told to stop. */
  readonly publish: { readonly argument: { readonly perSecond: number }; readonly reply: undefined };
  /** @returns how many were sent */
  readonly stop: { readonly argument: null; readonly reply: number };
};

/** All clients. */
export type LoadCalls = {
  /** Connects them to one server; when their connection ends, they come back to one of the others. */
  readonly connect: {
    readonly argument: {
      readonly port: number;
      readonly others: readonly number[];
      readonly clients: number;
    };
    readonly reply: undefined;
  };
  /** Resolves once every client has had a message. */
  readonly begun: { readonly argument: null; readonly reply: undefined };
  /** Their server is about to be killed: time runs from here on. */
  readonly killed: { readonly argument: null; readonly reply: undefined };
  /** Resolves once all are back and have what was sent before they were, or after the time. */
  readonly back: { readonly argument: { readonly timeoutMs: number }; readonly reply: Storm };
  /** Resolves once every client has the last of so many messages, or after the time; then every loss is counted. */
  readonly settled: {
    readonly argument: { readonly messages: number; readonly timeoutMs: number };
    readonly reply: Outcome;
  };
};

/** Milliseconds until this part of the clients was back and had caught up; undefined: it never was. */
export interface Storm {
  readonly half: number | undefined;
  readonly most: number | undefined;
  readonly all: number | undefined;
}

export interface Outcome {
  readonly lost: number;
  readonly doubled: number;
  /** Clients that got their session back. */
  readonly recovered: number;
}
