/** What is said over a Socket.IO connection: docs/protocol.md is the contract, this its words in code. */

export const PROTOCOL_VERSION = 1;

export const EVENTS = {
  subscribe: "holdfast:subscribe",
  unsubscribe: "holdfast:unsubscribe",
  welcome: "holdfast:welcome",
  entry: "holdfast:entry",
  volatile: "holdfast:volatile",
  reset: "holdfast:reset",
  ended: "holdfast:ended",
} as const;

/** Its only argument is where a client begins to resume from, which stock clients keep: no event of the channels. */
export const PLACE_EVENT = "holdfast:place";

/** The event in the place of one that an entry's bytes don't hold: they were written by another program. */
export const UNREADABLE = "holdfast:unreadable";

/** Channel names and event names that begin so are Holdfast's own. */
export const RESERVED_PREFIX = "holdfast:";

/** Response header of the handshake. */
export const NODE_HEADER = "x-holdfast-node";

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

export type SubscribeAnswer =
  | {
      readonly ok: true;
      readonly recovered: boolean;
      readonly epoch: string;
      readonly offset: number;
      readonly tag: string;
      readonly head: number;
    }
  | { readonly ok: false; readonly error: WireError };

export type UnsubscribeAnswer = { readonly ok: true } | { readonly ok: false; readonly error: WireError };
