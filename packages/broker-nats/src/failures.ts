import { BrokerError } from "@holdfast/broker";
import { JetStreamApiError } from "@nats-io/jetstream";

/** Numbers of the server's errors (nats-server, server/errors.json). */
const WRONG_LAST_SEQUENCE = 10071;
const NO_ROOM = [
  10023, // insufficient resources
  10028, // insufficient memory resources
  10047, // insufficient storage resources
  10077, // the stream could not store it: maximum bytes exceeded
  10002, // the account's resources exceeded
];
const STREAM_MISSING = 10059;

/** Another writer was quicker: the subject's last record is not the one that was expected. */
export function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE;
}

/** The stream is gone, so it has to be made again before anything else. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === STREAM_MISSING;
}

/** What the server refused for good reason, as what callers are told; undefined when it may work if tried again. */
export function refusalOf(error: unknown): BrokerError | undefined {
  if (error instanceof BrokerError) return error;
  if (!(error instanceof JetStreamApiError)) return undefined;
  if (NO_ROOM.includes(error.code)) return new BrokerError("BROKER_FULL", undefined, { cause: error });
  if (error.status === 503 || isStreamMissing(error)) return undefined;
  return new BrokerError("BROKER_UNAVAILABLE", `NATS refused it: ${error.message}.`, { cause: error });
}

export function unavailable(cause: unknown): BrokerError {
  if (cause instanceof BrokerError) return cause;
  const detail = cause instanceof Error ? `NATS: ${cause.message}.` : undefined;
  return new BrokerError("BROKER_UNAVAILABLE", detail, { cause });
}
