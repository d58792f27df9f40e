import { decodeFrame, encodeFrame, type Read, refuse } from "./frame.ts";
import { payloadOf, readPayload, writePacket } from "./packet-text.ts";

/** What a node asks of all others. */
const REQUESTS = ["join", "leave", "disconnect", "fetch", "ids", "emit", "count"] as const;
/** What it is told in its inbox: what it asked for, and what a client answered to an emit of its. */
const ANSWERS = ["answer", "acknowledgement"] as const;

export type RequestType = (typeof REQUESTS)[number];
export type AnswerType = (typeof ANSWERS)[number];

/** What nodes say to each other beside the logs of rooms. */
export interface ControlMessage {
  readonly type: RequestType | AnswerType;
  readonly namespace: string;
  /** The uid of the node that says it. */
  readonly from: string;
  /** Names the request; absent where no answer is wanted. */
  readonly request?: string;
  /** Values, bytes among them. */
  readonly args: readonly unknown[];
  /** A long answer comes in parts: how many they are. Default 1. */
  readonly parts?: number;
  /** How long the answer is waited for, where it is. */
  readonly timeoutMs?: number;
}

/** @throws TypeError as JSON.stringify does, for what it can't write */
export function encodeControl(message: ControlMessage): Uint8Array {
  const { type, namespace, from, request, args, parts, timeoutMs } = message;
  const header = { t: type, n: namespace, o: from, r: request, p: parts, w: timeoutMs };
  return encodeFrame({ header, ...writePacket("/", args) });
}

/** Reads a message, which may be anything: another program can write to the same broker. Never throws. */
export function decodeControl(bytes: Uint8Array): Read<ControlMessage> {
  const frame = decodeFrame(bytes);
  if (!frame.ok) return frame;
  const { header, text, attachments } = frame.value;
  const { t: type, n: namespace, o: from, r: request, p: parts = 1, w: timeoutMs } = header;
  if (!isOneOf(type, REQUESTS) && !isOneOf(type, ANSWERS)) return refuse("shape");
  if (typeof namespace !== "string" || !isName(from)) return refuse("shape");
  if (request !== undefined && !isName(request)) return refuse("shape");
  if (!Number.isSafeInteger(parts) || (parts as number) < 1) return refuse("shape");
  const payload = payloadOf(text, "/", attachments.length)?.payload;
  if (payload === undefined) return refuse("shape");
  const args = readPayload(payload, attachments);
  if (!args.ok) return args;
  const value = {
    type,
    namespace,
    from,
    args: args.value,
    parts: parts as number,
    ...(request !== undefined && { request }),
    ...(typeof timeoutMs === "number" && { timeoutMs }),
  };
  return { ok: true, value };
}

export function isRequest(type: RequestType | AnswerType): type is RequestType {
  return isOneOf(type, REQUESTS);
}

function isOneOf<T>(value: unknown, values: readonly T[]): value is T {
  return values.includes(value as T);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 100;
}
