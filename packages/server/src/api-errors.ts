/** What the publish API refuses, as docs/protocol.md lists it. */
export const API_ERRORS = {
  CHANNEL_MISSING: {
    status: 400,
    retryable: false,
    message: "the path names no channel: POST {base}/v1/channels/{channel}/entries",
  },
  CHANNEL_INVALID: {
    status: 400,
    retryable: false,
    message:
      "a channel name is 1 to 200 characters of letters, digits and _ - . : / = @ , + ~ #, percent-encoded in the path",
  },
  CHANNEL_RESERVED: {
    status: 400,
    retryable: false,
    message: "channel names that begin with holdfast: are Holdfast's own",
  },
  BODY_INVALID_JSON: { status: 400, retryable: false, message: "the body is not JSON in UTF-8" },
  BODY_INVALID: {
    status: 400,
    retryable: false,
    message: 'the body is { "event": string, "data": any JSON value }',
  },
  EVENT_RESERVED: {
    status: 400,
    retryable: false,
    message: "Socket.IO or Holdfast keeps this event name for itself",
  },
  IDEMPOTENCY_KEY_INVALID: {
    status: 400,
    retryable: false,
    message: "Idempotency-Key is 1 to 256 characters",
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    retryable: false,
    message: "the body's Content-Type must be application/json",
  },
  BODY_TOO_LARGE: { status: 413, retryable: false, message: "the body is larger than this server takes" },
  NOT_FOUND: { status: 404, retryable: false, message: "no such path, or not with this method" },
  CHANNEL_LIMIT: {
    status: 503,
    retryable: true,
    message: "the broker holds as many channels as it can",
  },
  BROKER_FULL: {
    status: 503,
    retryable: true,
    message: "the broker has no room left to keep this; nothing was accepted",
  },
  BROKER_UNAVAILABLE: {
    status: 503,
    retryable: true,
    message: "the broker can't be reached; try again with the same Idempotency-Key",
  },
  INTERNAL: { status: 500, retryable: false, message: "the server failed; its log says why" },
} as const;

export type ApiErrorCode = keyof typeof API_ERRORS;

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly code: ApiErrorCode;

  constructor(code: ApiErrorCode, detail?: string, cause?: unknown) {
    const { message } = API_ERRORS[code];
    super(detail === undefined ? message : `${message}: ${detail}`, cause === undefined ? {} : { cause });
    this.code = code;
  }
}

/** Codes of Fastify and of the broker, and which of ours they are. */
const FOREIGN: Readonly<Record<string, ApiErrorCode>> = {
  FST_ERR_BAD_URL: "CHANNEL_INVALID",
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_EMPTY_JSON_BODY: "BODY_INVALID_JSON",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "BODY_INVALID_JSON",
  FST_ERR_MAX_PARAM_LENGTH: "CHANNEL_INVALID",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
  BROKER_CLOSED: "BROKER_UNAVAILABLE",
  BROKER_FULL: "BROKER_FULL",
  BROKER_UNAVAILABLE: "BROKER_UNAVAILABLE",
  CHANNEL_INVALID: "CHANNEL_INVALID",
  CHANNEL_LIMIT: "CHANNEL_LIMIT",
  ENTRY_TOO_LARGE: "BODY_TOO_LARGE",
  IDEMPOTENCY_KEY_INVALID: "IDEMPOTENCY_KEY_INVALID",
  PROTOCOL_UNSUPPORTED: "BROKER_UNAVAILABLE",
  SLOW_CONSUMER: "BROKER_UNAVAILABLE",
  TOKEN_REFUSED: "BROKER_UNAVAILABLE",
};

/** Any error as one of ours; what is not known says nothing about the server. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return new ApiError(
    Object.hasOwn(FOREIGN, code) ? (FOREIGN[code] ?? "INTERNAL") : "INTERNAL",
    undefined,
    error,
  );
}
