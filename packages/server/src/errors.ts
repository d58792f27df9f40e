const TABLE = {
  CONFIG_INVALID: "the configuration is not valid",
  LISTEN_FAILED: "can't listen",
  PORT_IN_USE: "the port is in use by another program",
  STATIC_MISSING: "the folder of static files is not there",
} as const;

export type ServerErrorCode = keyof typeof TABLE;

/** Why a server can't start. The message names the variable or the address, and what to do. */
export class ServerError extends Error {
  override readonly name = "ServerError";
  readonly code: ServerErrorCode;

  constructor(code: ServerErrorCode, detail: string, cause?: unknown) {
    super(`${TABLE[code]}: ${detail}`, cause === undefined ? {} : { cause });
    this.code = code;
  }
}
