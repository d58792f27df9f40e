import { backoffMs } from "./backoff.ts";
import { isOffset } from "./cursor.ts";
import { ClientError } from "./errors.ts";
import type { ClientSettings } from "./options.ts";

/** Where an entry was appended. */
export interface Published {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  /** An earlier publish with the same key was accepted; this one appended nothing. */
  readonly duplicate: boolean;
}

export interface PublishOptions {
  /** At most 256 characters; default: a random one. Give your own to repeat a publish in another process. */
  readonly idempotencyKey?: string;
}

/** Answers of a balancer or a server that may be over at the next try. */
const RETRYABLE_STATUS = new Set([429, 502, 503, 504]);

const ATTEMPT_TIMEOUT_MS = 10_000;

/**
 * Appends to a channel through the publish API. Tries again, with the same key, while the network or the server is
 * away, so that an entry whose answer was lost is not appended twice.
 *
 * @throws ClientError `API_MISSING`, `PUBLISH_REFUSED` (`serverCode` says why), `PUBLISH_TIMEOUT`, `ANSWER_INVALID`
 */
export async function publish(
  settings: ClientSettings,
  channel: string,
  event: string,
  data: unknown,
  options: PublishOptions,
): Promise<Published> {
  if (settings.api === undefined) throw new ClientError("API_MISSING");
  const url = `${settings.api}/v1/channels/${encodeURIComponent(channel)}/entries`;
  const body = JSON.stringify({ event, data: data === undefined ? null : data });
  const headers = {
    "content-type": "application/json",
    "idempotency-key": options.idempotencyKey ?? randomKey(),
  };
  const deadline = Date.now() + settings.publishTimeoutMs;

  for (let failures = 0; ; failures++) {
    const outcome = await attempt(url, headers, body, deadline - Date.now());
    if (outcome.type === "published") return outcome.published;
    if (outcome.type === "refused") throw outcome.error;
    const wait = backoffMs(failures);
    if (Date.now() + wait >= deadline) throw new ClientError("PUBLISH_TIMEOUT", { cause: outcome.cause });
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

type Outcome =
  | { readonly type: "published"; readonly published: Published }
  | { readonly type: "refused"; readonly error: ClientError }
  | { readonly type: "again"; readonly cause: unknown };

async function attempt(
  url: string,
  headers: Record<string, string>,
  body: string,
  leftMs: number,
): Promise<Outcome> {
  let status: number;
  let answer: unknown;
  try {
    const signal = AbortSignal.timeout(Math.max(1, Math.min(ATTEMPT_TIMEOUT_MS, leftMs)));
    const response = await fetch(url, { method: "POST", headers, body, signal });
    status = response.status;
    const text = await response.text();
    answer = parse(text);
  } catch (cause) {
    return { type: "again", cause };
  }
  if (status === 200 || status === 201) {
    if (isPublished(answer)) return { type: "published", published: answer };
    return { type: "refused", error: new ClientError("ANSWER_INVALID", { detail: `status ${status}` }) };
  }
  const { code, message } = readError(answer);
  const error = new ClientError("PUBLISH_REFUSED", {
    detail: message ?? `status ${status}`,
    ...(code === undefined ? {} : { serverCode: code }),
  });
  return RETRYABLE_STATUS.has(status) ? { type: "again", cause: error } : { type: "refused", error };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPublished(value: unknown): value is Published {
  if (typeof value !== "object" || value === null) return false;
  const { channel, offset, cursor, duplicate } = value as Record<string, unknown>;
  return (
    typeof channel === "string" &&
    isOffset(offset) &&
    typeof cursor === "string" &&
    typeof duplicate === "boolean"
  );
}

function readError(answer: unknown): { code?: string; message?: string } {
  const error = (answer as { error?: { code?: unknown; message?: unknown } } | null | undefined)?.error;
  return {
    ...(typeof error?.code === "string" ? { code: error.code } : {}),
    ...(typeof error?.message === "string" ? { message: error.message } : {}),
  };
}

/** Browsers have `randomUUID` in secure contexts only; a page on a plain http address has none. */
function randomKey(): string {
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
