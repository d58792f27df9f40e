/** The server's side. */
export type ServerCalls = {
  readonly address: { readonly argument: null; readonly reply: { readonly port: number } };
  /** Sockets that the server has now. */
  readonly sockets: { readonly argument: null; readonly reply: number };
  /** Collects all garbage. @returns bytes of the heap and of what it holds beside it, that are in use then */
  readonly heap: { readonly argument: null; readonly reply: number };
};

/** The load generator's side. */
export type LoadCalls = {
  /** Opens so many connections, so many at a time; resolves when Socket.IO has answered on each. */
  readonly open: {
    readonly argument: { readonly port: number; readonly connections: number; readonly atOnce: number };
    readonly reply: undefined;
  };
  /** Rejects unless every connection is open and quiet. */
  readonly prove: { readonly argument: null; readonly reply: undefined };
};
