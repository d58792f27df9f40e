/** Every error the ingress throws or rejects with. */
const ERRORS = {
  OPTION_INVALID: { retryable: false },
  INGRESS_CLOSED: { retryable: false },
  ALREADY_LISTENING: { retryable: false },
  PORT_IN_USE: { retryable: true },
  PORT_FORBIDDEN: { retryable: false },
  ADDRESS_UNAVAILABLE: { retryable: false },
  LISTEN_FAILED: { retryable: false },
  MODEL_INVALID: { retryable: false },
  BACKEND_SERVICE_UNKNOWN: { retryable: false },
  ENDPOINT_INVALID: { retryable: false },
  ENDPOINTS_TOO_MANY: { retryable: false },
  CERTIFICATE_INVALID: { retryable: false },
  WORKER_SILENT: { retryable: true },
} as const satisfies Record<string, { readonly retryable: boolean }>;

export type IngressErrorCode = keyof typeof ERRORS;

export class IngressError extends Error {
  override readonly name = "IngressError";
  readonly code: IngressErrorCode;
  /** Whether the same call may succeed later, with nothing changed by the caller. */
  readonly retryable: boolean;

  constructor(code: IngressErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.retryable = ERRORS[code].retryable;
  }
}

/**
 * The error of a listener that could not be opened, in words for whoever typed the address.
 *
 * @param flag what chooses the port
 */
export function listenError(
  cause: NodeJS.ErrnoException,
  host: string,
  port: number,
  flag = "--port",
): IngressError {
  const place = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  switch (cause.code) {
    case "EADDRINUSE":
      return new IngressError(
        "PORT_IN_USE",
        `${place} is already in use by another process; end that process or choose another port with ${flag}`,
        { cause },
      );
    case "EACCES":
    case "EPERM":
      return new IngressError(
        "PORT_FORBIDDEN",
        `this user may not listen on ${place}; choose a port from 1024 up with ${flag}`,
        { cause },
      );
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EINVAL":
      return new IngressError(
        "ADDRESS_UNAVAILABLE",
        `this machine has no address ${host} to listen on; choose one of its own with --host, such as 127.0.0.1`,
        { cause },
      );
    default:
      return new IngressError("LISTEN_FAILED", `can't listen on ${place}: ${cause.message}`, { cause });
  }
}
