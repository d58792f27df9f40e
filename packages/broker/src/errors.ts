interface ErrorRow {
  readonly message: string;
  /** The same call may succeed later, unchanged. */
  readonly retryable: boolean;
}

const TABLE = {
  ABILITY_MISSING: { message: "This broker engine lacks what the call needs.", retryable: false },
  ADDRESS_UNAVAILABLE: { message: "The broker can't listen on this address.", retryable: false },
  BATCH_INVALID: {
    message: "A batch has 1 to 1,000 publications, with 2 MiB of data together at most.",
    retryable: false,
  },
  BROKER_CLOSED: { message: "The broker was closed by this process.", retryable: false },
  BROKER_FULL: {
    message: "The broker has no room left where it keeps its logs. Nothing of this was accepted.",
    retryable: true,
  },
  BROKER_UNAVAILABLE: { message: "The broker can't be reached, or can't answer now.", retryable: true },
  BROKER_URL_INVALID: {
    message:
      "A broker URL is memory: (this process only), file:PATH (kept in a file), holdfast://TOKEN@HOST:PORT or holdfast://TOKEN@unix:PATH (a served broker).",
    retryable: false,
  },
  CHANNEL_INVALID: {
    message: "A channel name is 1 to 200 characters of letters, digits and _ - . : / = @ , + ~ #.",
    retryable: false,
  },
  CHANNEL_LIMIT: { message: "There are as many channels as this broker holds.", retryable: true },
  ENTRY_INVALID: { message: "An entry's data must be a Uint8Array.", retryable: false },
  ENTRY_TOO_LARGE: { message: "The entry is larger than the broker takes.", retryable: false },
  FRAME_INVALID: {
    message: "The other side sent bytes that are no frame of this protocol.",
    retryable: false,
  },
  IDEMPOTENCY_KEY_INVALID: {
    message: "An idempotency key is a well-formed string of 1 to 256 characters.",
    retryable: false,
  },
  LEASE_INVALID: {
    message:
      "A lease's group, key and owner are names like a channel's (an owner's has 150 characters at most), its value is 64 KiB at most, its ttlMs 10 to 3,600,000 and its lingerMs 0 to 86,400,000.",
    retryable: false,
  },
  LEASE_LIMIT: { message: "There are as many leases as this broker holds.", retryable: true },
  OPTIONS_INVALID: { message: "The broker's options are not valid.", retryable: false },
  PROTOCOL_UNSUPPORTED: {
    message: "The served broker speaks another version of the protocol: run the same version on both sides.",
    retryable: false,
  },
  QUERY_INVALID: {
    message:
      "A history query takes since (a position), or backwards with before (a position), and limit (a whole number from 0).",
    retryable: false,
  },
  RETENTION_INVALID: {
    message: "A retention is maxEntries (1 to 1,000,000) and maxAgeMs (1 to 31,536,000,000, a year).",
    retryable: false,
  },
  SLOW_CONSUMER: { message: "The other side did not read what it was sent in time.", retryable: true },
  STORE_IN_USE: { message: "The broker's file is held by another process.", retryable: true },
  STORE_UNUSABLE: { message: "The broker's file can't be used.", retryable: false },
  TOKEN_REFUSED: { message: "The broker refused the token or password in its URL.", retryable: false },
} as const satisfies Record<string, ErrorRow>;

/** The stable codes of everything that a broker refuses or fails at. */
export type BrokerErrorCode = keyof typeof TABLE;

/** Whether a text from outside is one of the codes. */
export function isBrokerErrorCode(code: string): code is BrokerErrorCode {
  return Object.hasOwn(TABLE, code);
}

/** What a broker rejects with. `code` is stable; `message` is for people; `cause` is what lies below, where known. */
export class BrokerError extends Error {
  readonly code: BrokerErrorCode;
  /** The same call may succeed later. After a lost answer, repeat a publish with the same idempotency key. */
  readonly retryable: boolean;
  /** What is particular to this error, beside the message of its code. */
  readonly detail: string | undefined;

  constructor(code: BrokerErrorCode, detail?: string, options?: { readonly cause?: unknown }) {
    super(detail ? `${TABLE[code].message} ${detail}` : TABLE[code].message, options);
    this.name = "BrokerError";
    this.code = code;
    this.retryable = TABLE[code].retryable;
    this.detail = detail;
  }
}
