const TABLE = {
  ANSWER_INVALID: "the server's answer is not what the protocol says",
  API_MISSING: "to publish, give connect() the option `api`: the base URL of the publish API",
  CLIENT_CLOSED: "the client was closed",
  LISTENER_FAILED: "a listener threw; the messages after it are delivered all the same",
  OPTION_INVALID: "an option is unknown or out of range",
  PROTOCOL_UNSUPPORTED: "the server speaks a version of the protocol that this client does not",
  PUBLISH_REFUSED: "the publish API refused the entry",
  PUBLISH_TIMEOUT: "the entry could not be published in time; it may have been accepted all the same",
  STATE_FAILED: "getState threw; messages go on from the cursor",
  SUBSCRIBE_REFUSED: "the server refused the subscription",
} as const;

export type ClientErrorCode = keyof typeof TABLE;

export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: ClientErrorCode;
  /** The code that the server gave, where it was the server that refused. */
  readonly serverCode: string | undefined;

  constructor(
    code: ClientErrorCode,
    details: { detail?: string; serverCode?: string; cause?: unknown } = {},
  ) {
    const { detail, serverCode, cause } = details;
    super(
      detail === undefined ? TABLE[code] : `${TABLE[code]}: ${detail}`,
      cause === undefined ? {} : { cause },
    );
    this.code = code;
    this.serverCode = serverCode;
  }
}
