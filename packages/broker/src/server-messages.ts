import { BrokerError, type BrokerErrorCode, isBrokerErrorCode } from "./errors.ts";
import { encodeFrame, type Field, FieldReader, type Frame } from "./frame.ts";
import { decodeLeaseAnswer, encodeLeaseAnswer, isLeaseAnswer, type LeaseAnswer } from "./lease-messages.ts";
import { BATCH_PUBLICATIONS, PAGE_ENTRIES } from "./limits.ts";
import { CHANNEL, CHANNELS_PER_FRAME, EPOCH, position, readPosition, TAG } from "./message-fields.ts";
import type { Entry, Position, PublishOutcome, Unrecoverable } from "./port.ts";

/** What a served broker answers and tells a connection. */
export type ServerMessage =
  | { readonly type: "welcome"; readonly maxFrameBytes: number }
  /** The last frame of a connection: why it ends. */
  | { readonly type: "bye"; readonly code: BrokerErrorCode; readonly message: string }
  | {
      readonly type: "published";
      readonly id: number;
      readonly position: Position;
      readonly seq: number;
      readonly duplicate: boolean;
    }
  | {
      readonly type: "published-all";
      readonly id: number;
      readonly outcomes: readonly PublishOutcome[];
    }
  /** It was done, and there is nothing more to say. */
  | { readonly type: "done"; readonly id: number }
  | {
      readonly type: "page";
      readonly id: number;
      readonly head: Position;
      readonly seq: number;
      readonly entries: readonly Entry[];
    }
  | {
      readonly type: "unrecoverable";
      readonly id: number;
      readonly head: Position;
      readonly seq: number;
      readonly reason: Unrecoverable;
    }
  | { readonly type: "failed"; readonly id: number; readonly code: BrokerErrorCode; readonly message: string }
  | { readonly type: "subscribed"; readonly heads: readonly ChannelHead[] }
  | {
      readonly type: "refused";
      readonly channel: string;
      readonly code: BrokerErrorCode;
      readonly message: string;
    }
  | { readonly type: "entry"; readonly channel: string; readonly entry: Entry }
  | { readonly type: "volatile"; readonly channel: string; readonly data: Uint8Array }
  | {
      readonly type: "reset";
      readonly channel: string;
      readonly head: Position;
      readonly reason: Unrecoverable;
    }
  /** Whether the broker behind the server can be reached; `error` is empty when it can. */
  | { readonly type: "status"; readonly error: string }
  | { readonly type: "pong" }
  | LeaseAnswer;

/** From where on a channel's entries are pushed. */
export interface ChannelHead {
  readonly channel: string;
  readonly head: Position;
}

const SERVER = {
  welcome: 1,
  bye: 2,
  published: 3,
  page: 4,
  unrecoverable: 5,
  failed: 6,
  subscribed: 7,
  refused: 8,
  entry: 9,
  reset: 10,
  status: 11,
  pong: 12,
  "published-all": 13,
  done: 14,
  volatile: 15,
} as const;

const REASONS: readonly Unrecoverable[] = ["epoch", "ahead", "tag", "trimmed"];

/** The most of an error's text that is sent, in characters. */
const MESSAGE = 4096;

export function encodeServer(message: ServerMessage): Frame {
  if (isLeaseAnswer(message)) return encodeLeaseAnswer(message);
  const type = SERVER[message.type];
  switch (message.type) {
    case "welcome":
      return encodeFrame([type, message.maxFrameBytes]);
    case "bye":
      return encodeFrame([type, message.code, clip(message.message)]);
    case "published":
      return encodeFrame([type, message.id, ...position(message.position), message.seq, message.duplicate]);
    case "published-all":
      return encodeFrame([
        type,
        message.id,
        message.outcomes.length,
        ...message.outcomes.flatMap((outcome): Field[] =>
          outcome.type === "published"
            ? [true, ...position(outcome.position), outcome.seq, outcome.duplicate]
            : [false, outcome.error.code, clip(outcome.error.detail ?? "")],
        ),
      ]);
    case "done":
      return encodeFrame([type, message.id]);
    case "page":
      return encodeFrame([
        type,
        message.id,
        ...position(message.head),
        message.seq,
        message.entries.length,
        ...message.entries.flatMap(entry),
      ]);
    case "unrecoverable":
      return encodeFrame([
        type,
        message.id,
        ...position(message.head),
        message.seq,
        REASONS.indexOf(message.reason),
      ]);
    case "failed":
      return encodeFrame([type, message.id, message.code, clip(message.message)]);
    case "subscribed":
      return encodeFrame([
        type,
        message.heads.length,
        ...message.heads.flatMap(({ channel, head }) => [channel, ...position(head)]),
      ]);
    case "refused":
      return encodeFrame([type, message.channel, message.code, clip(message.message)]);
    case "entry":
      return encodeFrame([type, message.channel, ...entry(message.entry)]);
    case "volatile":
      return encodeFrame([type, message.channel, message.data]);
    case "reset":
      return encodeFrame([type, message.channel, ...position(message.head), REASONS.indexOf(message.reason)]);
    case "status":
      return encodeFrame([type, clip(message.error)]);
    case "pong":
      return encodeFrame([type]);
  }
}

/** @throws BrokerError `FRAME_INVALID` */
export function decodeServer(body: Uint8Array): ServerMessage {
  const fields = new FieldReader(body);
  const message = serverMessage(fields.count(), fields);
  fields.end();
  return message;
}

function serverMessage(type: number, fields: FieldReader): ServerMessage {
  const answer = decodeLeaseAnswer(type, fields);
  if (answer) return answer;
  switch (type) {
    case SERVER.welcome:
      return { type: "welcome", maxFrameBytes: fields.count() };
    case SERVER.bye:
      return { type: "bye", ...readError(fields) };
    case SERVER.published: {
      const [id, at] = [fields.count(), readPosition(fields)];
      return { type: "published", id, position: at, seq: fields.count(), duplicate: fields.flag() };
    }
    case SERVER["published-all"]: {
      const id = fields.count();
      const outcomes = Array.from({ length: fields.count(BATCH_PUBLICATIONS) }, () => readOutcome(fields));
      return { type: "published-all", id, outcomes };
    }
    case SERVER.done:
      return { type: "done", id: fields.count() };
    case SERVER.volatile:
      return { type: "volatile", channel: fields.text(CHANNEL), data: fields.bytes() };
    case SERVER.page: {
      const [id, head, seq] = [fields.count(), readPosition(fields), fields.count()];
      const entries = Array.from({ length: fields.count(PAGE_ENTRIES) }, () => readEntry(fields));
      return { type: "page", id, head, seq, entries };
    }
    case SERVER.unrecoverable:
      return {
        type: "unrecoverable",
        id: fields.count(),
        head: readPosition(fields),
        seq: fields.count(),
        reason: readReason(fields),
      };
    case SERVER.failed:
      return { type: "failed", id: fields.count(), ...readError(fields) };
    case SERVER.subscribed:
      return {
        type: "subscribed",
        heads: Array.from({ length: fields.count(CHANNELS_PER_FRAME) }, () => ({
          channel: fields.text(CHANNEL),
          head: readPosition(fields),
        })),
      };
    case SERVER.refused:
      return { type: "refused", channel: fields.text(CHANNEL), ...readError(fields) };
    case SERVER.entry:
      return { type: "entry", channel: fields.text(CHANNEL), entry: readEntry(fields) };
    case SERVER.reset:
      return {
        type: "reset",
        channel: fields.text(CHANNEL),
        head: readPosition(fields),
        reason: readReason(fields),
      };
    case SERVER.status:
      return { type: "status", error: fields.text(MESSAGE) };
    case SERVER.pong:
      return { type: "pong" };
    default:
      throw new BrokerError("FRAME_INVALID", `There is no message ${type}.`);
  }
}

function entry({ offset, seq, tag, time, data }: Entry): Field[] {
  return [offset, seq, tag, time, data];
}

function clip(message: string): string {
  return message.slice(0, MESSAGE);
}

function readEntry(fields: FieldReader): Entry {
  return {
    offset: fields.count(),
    seq: fields.count(),
    tag: fields.text(TAG),
    time: fields.count(),
    data: fields.bytes(),
  };
}

function readOutcome(fields: FieldReader): PublishOutcome {
  if (fields.flag()) {
    const at = readPosition(fields);
    return { type: "published", position: at, seq: fields.count(), duplicate: fields.flag() };
  }
  const { code, message } = readError(fields);
  return { type: "refused", error: new BrokerError(code, message) };
}

function readReason(fields: FieldReader): Unrecoverable {
  const reason = REASONS[fields.count(REASONS.length - 1)];
  if (!reason) throw new BrokerError("FRAME_INVALID");
  return reason;
}

function readError(fields: FieldReader): { readonly code: BrokerErrorCode; readonly message: string } {
  const [code, message] = [fields.text(EPOCH), fields.text(MESSAGE)];
  return { code: isBrokerErrorCode(code) ? code : "BROKER_UNAVAILABLE", message };
}
