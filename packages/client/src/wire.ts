/** What is said over the connection: docs/protocol.md is the contract, this its words in code. */

export const PROTOCOL_VERSION = 1;

/** The event in the place of one that an entry's bytes don't hold. */
export const UNREADABLE = "holdfast:unreadable";

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

export interface SubscribeRequest {
  readonly channel: string;
  readonly cursor?: string;
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

export interface Welcome {
  readonly node: string;
  readonly protocol: number;
}

export interface Reset {
  readonly epoch: string;
  readonly offset: number;
  readonly tag: string;
  readonly reason: string;
}

export interface ServerToClient {
  "holdfast:welcome": (welcome: Welcome) => void;
  "holdfast:entry": (channel: string, offset: number, tag: string, event: string, data: unknown) => void;
  "holdfast:volatile": (channel: string, event: string, data: unknown) => void;
  "holdfast:reset": (channel: string, reset: Reset) => void;
  "holdfast:ended": (channel: string, error: WireError) => void;
}

export interface ClientToServer {
  "holdfast:subscribe": (request: SubscribeRequest, answer: (answer: SubscribeAnswer) => void) => void;
  "holdfast:unsubscribe": (
    request: { readonly channel: string },
    answer: (answer: UnsubscribeAnswer) => void,
  ) => void;
}
