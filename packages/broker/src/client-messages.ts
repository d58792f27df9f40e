import { BrokerError } from "./errors.ts";
import { encodeFrame, type Field, FieldReader, type Frame } from "./frame.ts";
import {
  decodeLeaseRequest,
  encodeLeaseRequest,
  isLeaseRequest,
  type LeaseRequest,
} from "./lease-messages.ts";
import { BATCH_PUBLICATIONS, PAGE_ENTRIES } from "./limits.ts";
import { CHANNEL, CHANNELS_PER_FRAME, EPOCH, TAG } from "./message-fields.ts";
import type { Position, Publication, Retention } from "./port.ts";

/** What a connection to a served broker asks of it. */
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
  | { readonly type: "publish-all"; readonly id: number; readonly publications: readonly Publication[] }
  | { readonly type: "notify"; readonly id: number; readonly channel: string; readonly data: Uint8Array }
  | {
      readonly type: "history";
      readonly id: number;
      readonly channel: string;
      readonly backwards: boolean;
      /** `since`, or backwards `before`. */
      readonly from: Position | undefined;
      readonly limit: number;
    }
  | LeaseRequest
  | { readonly type: "subscribe"; readonly channels: readonly string[] }
  | { readonly type: "unsubscribe"; readonly channels: readonly string[] }
  | { readonly type: "ping" };

const CLIENT = {
  hello: 1,
  publish: 2,
  history: 3,
  subscribe: 4,
  unsubscribe: 5,
  ping: 6,
  "publish-all": 7,
  notify: 8,
} as const;

// Bounds on texts, in characters: somewhat more than the port allows, so that the server answers with a code.
const KEY = 1024;
const TOKEN = 256;

/** @throws nothing: it is made of what was checked. */
export function encodeClient(message: ClientMessage): Frame {
  if (isLeaseRequest(message)) return encodeLeaseRequest(message);
  const type = CLIENT[message.type];
  switch (message.type) {
    case "hello":
      return encodeFrame([type, message.protocol, message.token]);
    case "publish": {
      const { id, channel, data, key, retention } = message;
      return encodeFrame([type, id, channel, data, ...publishOptions(key, retention)]);
    }
    case "publish-all": {
      const { id, publications } = message;
      const fields = publications.flatMap(({ channel, data, idempotencyKey, retention }) => [
        channel,
        data,
        ...publishOptions(idempotencyKey, retention),
      ]);
      return encodeFrame([type, id, publications.length, ...fields]);
    }
    case "notify":
      return encodeFrame([type, message.id, message.channel, message.data]);
    case "history": {
      const { id, channel, backwards, from, limit } = message;
      const { epoch = null, offset = 0, tag = "" } = from ?? {};
      return encodeFrame([type, id, channel, limit, backwards, epoch, offset, tag]);
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

function clientMessage(type: number, fields: FieldReader): ClientMessage {
  const request = decodeLeaseRequest(type, fields);
  if (request) return request;
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
    case CLIENT["publish-all"]: {
      const id = fields.count();
      const publications = Array.from({ length: fields.count(BATCH_PUBLICATIONS) }, () => {
        const [channel, data] = [fields.text(CHANNEL), fields.bytes()];
        const [idempotencyKey, retention] = [fields.optionalText(KEY), readRetention(fields)];
        return {
          channel,
          data,
          ...(idempotencyKey !== undefined && { idempotencyKey }),
          ...(retention && { retention }),
        };
      });
      return { type: "publish-all", id, publications };
    }
    case CLIENT.notify:
      return { type: "notify", id: fields.count(), channel: fields.text(CHANNEL), data: fields.bytes() };
    case CLIENT.history: {
      const [id, channel, limit] = [fields.count(), fields.text(CHANNEL), fields.count(PAGE_ENTRIES)];
      const backwards = fields.flag();
      const [epoch, offset, tag] = [fields.optionalText(EPOCH), fields.count(), fields.text(TAG)];
      const from = epoch === undefined ? undefined : { epoch, offset, tag };
      return { type: "history", id, channel, backwards, from, limit };
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

function publishOptions(key: string | undefined, retention: Retention | undefined): Field[] {
  return [key ?? null, retention?.maxEntries ?? null, retention?.maxAgeMs ?? null];
}

function readRetention(fields: FieldReader): Retention | undefined {
  const [maxEntries, maxAgeMs] = [fields.optionalCount(), fields.optionalCount()];
  return maxEntries === undefined || maxAgeMs === undefined ? undefined : { maxEntries, maxAgeMs };
}

function readChannels(fields: FieldReader): string[] {
  return Array.from({ length: fields.count(CHANNELS_PER_FRAME) }, () => fields.text(CHANNEL));
}
