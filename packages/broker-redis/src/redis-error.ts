import { BrokerError } from "@holdfast/broker";
import { ReplyError } from "ioredis";

/** Whether a server answered with this error; its message begins with its code, such as `MOVED`. */
export function isAnswer(error: unknown): error is Error {
  return error instanceof ReplyError;
}

/** What has to be done about an error that a server answered. In none of these cases was anything written. */
export type Remedy =
  /** Ask again soon: the server can't now. */
  | { readonly type: "wait" }
  /** The server is no primary any more: find the one that is. */
  | { readonly type: "primary" }
  /** The partition is elsewhere, or on its way there. */
  | { readonly type: "moved"; readonly ask: boolean; readonly host: string; readonly port: number }
  /** Send the script itself. */
  | { readonly type: "script" }
  | { readonly type: "none" };

// The code stands at the beginning, or, when a command inside of a script was refused, somewhere in the text (Redis 6).
const CODE =
  /(?:^|[ :-])(NOSCRIPT|READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MOVED|ASK|OOM|MISCONF|NOAUTH|WRONGPASS|NOPERM)\b/;

/** Codes that OpenSSL's check of a certificate ends with, as Node gives them. */
const UNTRUSTED = /CERT|SIGNATURE|ISSUER|_CRL_|_CHAIN/;

export function remedyFor({ message }: Error): Remedy {
  switch (codeOf(message)) {
    case "NOSCRIPT":
      return { type: "script" };
    case "READONLY":
      return { type: "primary" };
    case "LOADING":
    case "MASTERDOWN":
    case "CLUSTERDOWN":
    case "TRYAGAIN":
    case "BUSY":
    case "NOREPLICAS":
      return { type: "wait" };
    case "MOVED":
    case "ASK": {
      const [, kind = "", host = "", port = ""] = /(MOVED|ASK) \d+ (.*):(\d+)/.exec(message) ?? [];
      return { type: "moved", ask: kind === "ASK", host, port: Number(port) };
    }
    default:
      return { type: "none" };
  }
}

/** What a caller is told. */
export function brokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const options = { cause: error };
  const code = isAnswer(error) ? codeOf(message) : undefined;
  if (code === "OOM" || code === "MISCONF") return new BrokerError("BROKER_FULL", message, options);
  if (isUntrusted(error))
    return new BrokerError("BROKER_UNAVAILABLE", `The server's certificate is refused: ${message}.`, options);
  if (isRefusal(error)) return new BrokerError("TOKEN_REFUSED", message, options);
  return new BrokerError("BROKER_UNAVAILABLE", message, options);
}

/** Whether one side does not let the other in: trying again is of no use until one of them is changed. */
export function isRefusal(error: unknown): boolean {
  if (isUntrusted(error)) return true;
  if (!isAnswer(error)) return false;
  const code = codeOf(error.message);
  return (
    code === "NOAUTH" || code === "WRONGPASS" || code === "NOPERM" || /invalid password/.test(error.message)
  );
}

/** Whether the certificate is of an authority that is not trusted, of another name, or out of date. */
function isUntrusted(error: unknown): error is Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return code === "ERR_TLS_CERT_ALTNAME_INVALID" || UNTRUSTED.test(code);
}

function codeOf(message: string): string | undefined {
  return CODE.exec(message)?.[1];
}
