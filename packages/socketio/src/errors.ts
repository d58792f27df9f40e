import type { WireError } from "./wire.ts";

/** Why a subscription was refused or ended. Errors of the broker keep their own code. */
export const SUBSCRIPTION_ERRORS = {
  REQUEST_INVALID: { message: "the request is not `{ channel: string, cursor?: string }`", retryable: false },
  CHANNEL_INVALID: {
    message: "a channel name is 1 to 200 characters of letters, digits and _ - . : / = @ , + ~ #",
    retryable: false,
  },
  CHANNEL_RESERVED: {
    message: "channel names that begin with holdfast: are Holdfast's own",
    retryable: false,
  },
  SUBSCRIPTIONS_TOO_MANY: {
    message: "this connection has as many subscriptions as it may have",
    retryable: false,
  },
  SUBSCRIBES_TOO_MANY: { message: "too many subscribes of this connection are under way", retryable: true },
  SUBSCRIPTION_REPLACED: { message: "a later subscribe replaced this one", retryable: false },
  SUBSCRIPTION_ENDED: { message: "the subscription was ended before it was answered", retryable: false },
  SERVER_CLOSING: { message: "the server is closing; subscribe again, at another one", retryable: true },
  INTERNAL: { message: "the server failed; its log says why", retryable: true },
} as const;

export type SubscriptionErrorCode = keyof typeof SUBSCRIPTION_ERRORS;

/** Why a subscription that did not fail came to its end. */
export type EndCode = "SUBSCRIPTION_REPLACED" | "SUBSCRIPTION_ENDED" | "SERVER_CLOSING";

export function wireError(code: SubscriptionErrorCode): WireError {
  return { code, ...SUBSCRIPTION_ERRORS[code] };
}

/** What was closed here is open elsewhere: to a client it is no reason to give up. */
const CLOSED = new Set<unknown>(["BROKER_CLOSED", "HUB_CLOSED"]);

/** An error as a client may see it: one with a code of its own passes, anything else says nothing about the server. */
export function toWireError(error: unknown): WireError {
  if (error instanceof Error && "code" in error && CLOSED.has(error.code)) return wireError("SERVER_CLOSING");
  if (error instanceof Error && "code" in error && typeof error.code === "string" && "retryable" in error) {
    return { code: error.code, message: error.message, retryable: error.retryable === true };
  }
  return wireError("INTERNAL");
}

const TABLE = {
  ENGINE_MISSING:
    "attach the Socket.IO server to an HTTP server, or call listen(), before binding channels to it",
  OPTION_INVALID: "a binding option is unknown or out of range",
} as const;

/** Misuse of the binding by the program that makes it. */
export class BindingError extends Error {
  override readonly name = "BindingError";
  readonly code: keyof typeof TABLE;

  constructor(code: keyof typeof TABLE, detail?: string) {
    super(detail === undefined ? TABLE[code] : `${TABLE[code]}: ${detail}`);
    this.code = code;
  }
}

const HOLDFAST_TABLE = {
  EMITS_TOO_MANY: {
    message: "as many emits wait for the broker as this node keeps; this one was dropped",
    retryable: true,
  },
  REQUESTS_TOO_MANY: {
    message: "as many requests to other nodes are open as this node keeps",
    retryable: true,
  },
  ANSWERS_TOO_LARGE: { message: "the nodes' answers are larger than a request takes", retryable: false },
  SERVER_TAKEN: {
    message: "a Socket.IO server has these options already; call createHoldfast once for each server",
    retryable: false,
  },
  SOCKET_IO_UNKNOWN: {
    message:
      "the installed Socket.IO is of a version that Holdfast does not know; it knows socket.io 4.8 with engine.io 6.6",
    retryable: false,
  },
  RECOVERY_DURATION: {
    message: "connectionStateRecovery.maxDisconnectionDuration may be 24 hours at most",
    retryable: false,
  },
  RECOVERY_RETENTION: {
    message: "what clients may have missed is kept for too short a time: raise the option retention.maxAgeMs",
    retryable: false,
  },
  HOLDFAST_CLOSED: { message: "Holdfast was closed by this process", retryable: false },
} as const;

export type HoldfastErrorCode = keyof typeof HOLDFAST_TABLE;

/** What the cluster of Socket.IO servers refuses. Errors of the broker pass through as they are. */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: HoldfastErrorCode;
  /** The same call can succeed later. */
  readonly retryable: boolean;

  constructor(code: HoldfastErrorCode, detail?: string) {
    const { message, retryable } = HOLDFAST_TABLE[code];
    super(detail === undefined ? message : `${message}: ${detail}`);
    this.code = code;
    this.retryable = retryable;
  }
}
