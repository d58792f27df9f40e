import { BrokerError, type BrokerErrorCode, isBrokerErrorCode } from "./errors.ts";
import { encodeFrame, type Field, FieldReader, type Frame } from "./frame.ts";
import { PAGE_ENTRIES } from "./limits.ts";
import type { Entry, Position, Retention, Unrecoverable } from "./port.ts";

/** The version of the protocol that a served broker and its connections speak. */
export const PROTOCOL = 1;

/** The most channels that one frame names. */
export const CHANNELS_PER_FRAME = 1000;

export type ClientMessage =
  | { readonly type: "hello"; readonly protocol: number; readonly token: string }
  | {
      readonly type: "publish";
      readonly id: number;
      readonly channel: string;
      readonly data: Uint8Array;
      readonly key: string | undefined;
      readonly retention: Retention | undefined;
    }
  | {
      readonly type: "history";
      readonly id: number;
      readonly channel: string;
      readonly since: Position | undefined;
      readonly limit: number;
    }
  | { readonly type: "subscribe"; readonly channels: readonly string[] }
  | { readonly type: "unsubscribe"; readonly channels: readonly string[] }
  | { readonly type: "ping" };

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
      readonly type: "page";
      readonly id: number;
      readonly head: Position;
      readonly entries: readonly Entry[];
    }
  | {
      readonly type: "unrecoverable";
      readonly id: number;
      readonly head: Position;
      readonly reason: Unrecoverable;
    }
  | { readonly type: "failed"; readonly id: number; readonly code: BrokerErrorCode; readonly message: string }
  | { readonly type: "subscribed"; readonly channel: string; readonly head: Position }
  | {
      readonly type: "refused";
      readonly channel: string;
      readonly code: BrokerErrorCode;
      readonly message: string;
    }
  | { readonly type: "entry"; readonly channel: string; readonly entry: Entry }
  | {
      readonly type: "reset";
      readonly channel: string;
      readonly head: Position;
      readonly reason: Unrecoverable;
    }
  /** Whether the broker behind the server can be reached; `error` is empty when it can. */
  | { readonly type: "status"; readonly error: string }
  | { readonly type: "pong" };

const CLIENT = { hello: 1, publish: 2, history: 3, subscribe: 4, unsubscribe: 5, ping: 6 } as const;
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
} as const;

const REASONS: readonly Unrecoverable[] = ["epoch", "ahead", "tag", "trimmed"];

// Bounds on texts, in characters: what the port allows, and somewhat more where the server answers with a code.
const CHANNEL = 1024;
const KEY = 1024;
const TOKEN = 256;
const EPOCH = 64;
const TAG = 16;
const MESSAGE = 4096;

/** @throws nothing: it is made of what was checked. */
export function encodeClient(message: ClientMessage): Frame {
  const type = CLIENT[message.type];
  switch (message.type) {
    case "hello":
      return encodeFrame([type, message.protocol, message.token]);
    case "publish": {
      const { id, channel, data, key = null, retention } = message;
      const { maxEntries = null, maxAgeMs = null } = retention ?? {};
      return encodeFrame([type, id, channel, data, key, maxEntries, maxAgeMs]);
    }
    case "history": {
      const { id, channel, since, limit } = message;
      const { epoch = null, offset = 0, tag = "" } = since ?? {};
      return encodeFrame([type, id, channel, limit, epoch, offset, tag]);
    }
    case "subscribe":
    case "unsubscribe":
      return encodeFrame([type, message.channels.length, ...message.channels]);
    case "ping":
      return encodeFrame([type]);
  }
}

/** @throws BrokerError `FRAME_INVALID` */
export function decodeClient(body: Uint8Array): ClientMessage {
  const fields = new FieldReader(body);
  const message = clientMessage(fields.count(), fields);
  fields.end();
  return message;
}

export function encodeServer(message: ServerMessage): Frame {
  const type = SERVER[message.type];
  switch (message.type) {
    case "welcome":
      return encodeFrame([type, message.maxFrameBytes]);
    case "bye":
      return encodeFrame([type, message.code, clip(message.message)]);
    case "published":
      return encodeFrame([type, message.id, ...position(message.position), message.seq, message.duplicate]);
    case "page":
      return encodeFrame([
        type,
        message.id,
        ...position(message.head),
        message.entries.length,
        ...message.entries.flatMap(entry),
      ]);
    case "unrecoverable":
      return encodeFrame([type, message.id, ...position(message.head), REASONS.indexOf(message.reason)]);
    case "failed":
      return encodeFrame([type, message.id, message.code, clip(message.message)]);
    case "subscribed":
      return encodeFrame([type, message.channel, ...position(message.head)]);
    case "refused":
      return encodeFrame([type, message.channel, message.code, clip(message.message)]);
    case "entry":
      return encodeFrame([type, message.channel, ...entry(message.entry)]);
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

function clientMessage(type: number, fields: FieldReader): ClientMessage {
  switch (type) {
    case CLIENT.hello:
      return { type: "hello", protocol: fields.count(), token: fields.text(TOKEN) };
    case CLIENT.publish:
      return {
        type: "publish",
        id: fields.count(),
        channel: fields.text(CHANNEL),
        data: fields.bytes(),
        key: fields.optionalText(KEY),
        retention: readRetention(fields),
      };
    case CLIENT.history: {
      const [id, channel, limit] = [fields.count(), fields.text(CHANNEL), fields.count(PAGE_ENTRIES)];
      const [epoch, offset, tag] = [fields.optionalText(EPOCH), fields.count(), fields.text(TAG)];
      const since = epoch === undefined ? undefined : { epoch, offset, tag };
      return { type: "history", id, channel, since, limit };
    }
    case CLIENT.subscribe:
      return { type: "subscribe", channels: readChannels(fields) };
    case CLIENT.unsubscribe:
      return { type: "unsubscribe", channels: readChannels(fields) };
    case CLIENT.ping:
      return { type: "ping" };
    default:
      throw new BrokerError("FRAME_INVALID", `There is no message ${type}.`);
  }
}

function serverMessage(type: number, fields: FieldReader): ServerMessage {
  switch (type) {
    case SERVER.welcome:
      return { type: "welcome", maxFrameBytes: fields.count() };
    case SERVER.bye:
      return { type: "bye", ...readError(fields) };
    case SERVER.published: {
      const [id, at] = [fields.count(), readPosition(fields)];
      return { type: "published", id, position: at, seq: fields.count(), duplicate: fields.flag() };
    }
    case SERVER.page: {
      const [id, head] = [fields.count(), readPosition(fields)];
      const entries = Array.from({ length: fields.count(PAGE_ENTRIES) }, () => readEntry(fields));
      return { type: "page", id, head, entries };
    }
    case SERVER.unrecoverable:
      return {
        type: "unrecoverable",
        id: fields.count(),
        head: readPosition(fields),
        reason: readReason(fields),
      };
    case SERVER.failed:
      return { type: "failed", id: fields.count(), ...readError(fields) };
    case SERVER.subscribed:
      return { type: "subscribed", channel: fields.text(CHANNEL), head: readPosition(fields) };
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

function position({ epoch, offset, tag }: Position): Field[] {
  return [epoch, offset, tag];
}

function entry({ offset, seq, tag, time, data }: Entry): Field[] {
  return [offset, seq, tag, time, data];
}

function clip(message: string): string {
  return message.slice(0, MESSAGE);
}

function readPosition(fields: FieldReader): Position {
  return { epoch: fields.text(EPOCH), offset: fields.count(), tag: fields.text(TAG) };
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

function readReason(fields: FieldReader): Unrecoverable {
  const reason = REASONS[fields.count(REASONS.length - 1)];
  if (!reason) throw new BrokerError("FRAME_INVALID");
  return reason;
}

function readRetention(fields: FieldReader): Retention | undefined {
  const [maxEntries, maxAgeMs] = [fields.optionalCount(), fields.optionalCount()];
  return maxEntries === undefined || maxAgeMs === undefined ? undefined : { maxEntries, maxAgeMs };
}

function readChannels(fields: FieldReader): string[] {
  return Array.from({ length: fields.count(CHANNELS_PER_FRAME) }, () => fields.text(CHANNEL));
}

function readError(fields: FieldReader): { readonly code: BrokerErrorCode; readonly message: string } {
  const [code, message] = [fields.text(EPOCH), fields.text(MESSAGE)];
  return { code: isBrokerErrorCode(code) ? code : "BROKER_UNAVAILABLE", message };
}
