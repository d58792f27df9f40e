const TABLE = {
  HUB_CLOSED: { message: "the hub was closed", retryable: true },
  HUB_OPTION_INVALID: { message: "a hub option is unknown or out of range", retryable: false },
  PRESENCE_INVALID: { message: "a presence record is not what it may be", retryable: false },
  STATE_INVALID: { message: "a key or value of a channel's state is not what it may be", retryable: false },
  STATE_FULL: { message: "a channel's state has no room for this key or value", retryable: false },
  LOG_INCONSISTENT: { message: "the log did not show entries that were delivered from it", retryable: true },
} as const;

export type HubErrorCode = keyof typeof TABLE;

/** What the hub itself refuses. Errors of the broker pass through it as they are. */
export class HubError extends Error {
  override readonly name = "HubError";
  readonly code: HubErrorCode;
  /** The same call can succeed later. */
  readonly retryable: boolean;

  constructor(code: HubErrorCode, detail?: string) {
    const { message, retryable } = TABLE[code];
    super(detail === undefined ? message : `${message}: ${detail}`);
    this.code = code;
    this.retryable = retryable;
  }
}
