import { Command } from "commander";
import { CliError, EXIT } from "../errors.ts";

interface PublishOptions {
  readonly api: string;
  readonly key?: string;
  readonly json?: boolean;
}

/** What the publish API answers to an accepted entry. */
interface Published {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly duplicate: boolean;
}

const TIMEOUT_MS = 10_000;

export function publishCommand(onExit: (code: number) => void): Command {
  return new Command("publish")
    .description("Publish a message to a channel through the publish API.")
    .argument("<channel>", "the channel's name")
    .argument("<event>", "the event's name, as clients listen for it")
    .argument("<json>", "the event's data, as JSON")
    .requiredOption("--api <url>", "where the publish API is, with its base path")
    .option("--key <key>", "idempotency key: the same key again appends nothing")
    .option("--json", "print the API's answer as JSON")
    .addHelpText(
      "after",
      `
Examples:
  holdfast publish room-1 message '{"text": "hello"}' --api http://127.0.0.1:8080/api
  holdfast publish room-1 message '"paid"' --api https://chat.example.com/api --key order-4711`,
    )
    .action(async (channel: string, event: string, json: string, options: PublishOptions) => {
      const published = await publish(channel, event, json, options);
      console.log(options.json ? JSON.stringify(published) : describe(published));
      onExit(EXIT.OK);
    });
}

async function publish(
  channel: string,
  event: string,
  json: string,
  options: PublishOptions,
): Promise<Published> {
  const url = entriesUrl(options.api, channel);
  const body = JSON.stringify({ event, data: parseData(json) });
  const response = await post(url, body, options.key);
  const answer = await readAnswer(response);
  if (response.ok && isPublished(answer)) return answer;
  const { code, message, retryable } = errorOf(answer);
  throw new CliError(
    "PUBLISH_REFUSED",
    `${url} answered ${response.status}${code === undefined ? "" : ` ${code}`}: ${message}`,
    {
      retryable,
      ...(retryable ? { fix: "try again, with the same --key" } : {}),
    },
  );
}

function entriesUrl(api: string, channel: string): URL {
  const url = URL.parse(`${api.replace(/\/+$/, "")}/v1/channels/${encodeURIComponent(channel)}/entries`);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new CliError("ARGUMENT_INVALID", `--api ${api} is no http or https address`, {
    fix: "write it whole, such as http://127.0.0.1:8080/api",
  });
}

function parseData(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    const fix = `quote it for the shell, such as '{"text": "hello"}' or '"hello"'`;
    throw new CliError("ARGUMENT_INVALID", `the data is not JSON: ${(cause as Error).message}`, {
      cause,
      fix,
    });
  }
}

async function post(url: URL, body: string, key: string | undefined): Promise<Response> {
  const headers = new Headers({ "content-type": "application/json" });
  try {
    if (key !== undefined) headers.set("idempotency-key", key);
  } catch (cause) {
    throw new CliError("ARGUMENT_INVALID", "--key has characters that an HTTP header can't carry", { cause });
  }
  try {
    return await fetch(url, { method: "POST", headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    const reason = (cause as Error).cause instanceof Error ? (cause as Error).cause : cause;
    throw new CliError(
      "PUBLISH_UNREACHABLE",
      `${url.origin} can't be reached: ${(reason as Error).message}`,
      {
        cause,
        fix: "check --api, and that the API is running; a repeat with the same --key is safe",
      },
    );
  }
}

/** The answer's JSON; undefined when it is none, as from a balancer that answers in the API's place. */
async function readAnswer(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return undefined;
  }
}

function isPublished(answer: unknown): answer is Published {
  const { channel, offset, cursor } = (answer ?? {}) as Partial<Published>;
  return typeof channel === "string" && typeof offset === "number" && typeof cursor === "string";
}

function errorOf(answer: unknown): { code: string | undefined; message: string; retryable: boolean } {
  const { error } = (answer ?? {}) as { error?: { code?: unknown; message?: unknown; retryable?: unknown } };
  return {
    code: typeof error?.code === "string" ? error.code : undefined,
    message: typeof error?.message === "string" ? error.message : "not an answer of the publish API",
    retryable: error?.retryable === true,
  };
}

function describe({ channel, offset, cursor, duplicate }: Published): string {
  return `${channel} ${offset} (cursor ${cursor})${duplicate ? ", published before with this key" : ""}`;
}
