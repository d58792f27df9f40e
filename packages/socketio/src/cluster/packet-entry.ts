import { decodeMessage } from "@holdfast/hub";
import { decodeFrame, encodeFrame, FRAME, type Read, readText, refuse } from "./frame.ts";
import {
  isEvent,
  type PacketText,
  packetPrefix,
  payloadOf,
  readPayload,
  writePacket,
} from "./packet-text.ts";
import { isPlainChannel, isRooms, type Room } from "./room-channel.ts";

/** An acknowledgement that the node which emitted waits for, from every socket that is given the packet. */
export interface AckRequest {
  /** Names the request at that node. */
  readonly request: string;
  /** The uid of that node. */
  readonly node: string;
  /** Answers that come later are not waited for. */
  readonly timeoutMs: number;
}

/** What an emit says beside its packet. */
export interface Envelope {
  readonly namespace: string;
  /** Sockets in one of these rooms are left out. */
  readonly except: readonly Room[];
  /** The same in all copies of one emit to several rooms. */
  readonly id?: string;
  /** Whether the transport may compress it. */
  readonly compress: boolean;
  /** Not kept for those who are away. */
  readonly volatile: boolean;
  readonly ack?: AckRequest;
}

/** An event on its way to the sockets of a room, as it stands in the room's log. */
export interface PacketEntry extends Envelope, PacketText {
  /** The event's name and its arguments. */
  readonly data: readonly unknown[];
  /** The id that one socket's answer will carry: the packet was emitted to that socket, with an acknowledgement. */
  readonly packetId?: number;
}

export interface OutgoingPacket {
  readonly data: readonly unknown[];
  readonly id?: number | undefined;
}

/**
 * An entry's bytes: `[event,data]` as JSON text, which the publish API and `@holdfast/client` write too, where the packet
 * is exactly that; else a frame.
 *
 * @param rooms where it goes; empty: everybody in the namespace
 * @throws TypeError as JSON.stringify does, for what it can't write
 */
export function encodePacketEntry(
  packet: OutgoingPacket,
  rooms: readonly Room[],
  envelope: Envelope,
): Uint8Array {
  const { namespace, except, id, compress, volatile, ack } = envelope;
  const { text, attachments } = writePacket(namespace, packet.data, packet.id);
  const isPlain =
    namespace === "/" &&
    rooms.length === 1 &&
    isPlainChannel(rooms[0]) &&
    packet.data.length === 2 &&
    typeof packet.data[0] === "string" &&
    packet.id === undefined &&
    attachments.length === 0;
  if (isPlain && except.length === 0 && id === undefined && compress && !volatile && !ack) {
    return Buffer.from(text.slice(packetPrefix("/", 0).length), "utf8");
  }
  const header = {
    n: namespace,
    ...(except.length > 0 && { x: except }),
    ...(id !== undefined && { m: id }),
    ...(!compress && { c: 0 }),
    ...(volatile && { v: 1 }),
    ...(ack && { a: [ack.request, ack.node, ack.timeoutMs] }),
  };
  return encodeFrame({ header, text, attachments });
}

/** Reads an entry's bytes, which may be anything: another program can write to the same broker. Never throws. */
export function decodePacketEntry(bytes: Uint8Array): Read<PacketEntry> {
  return bytes[0] === FRAME ? decodeFramed(bytes) : decodePlain(bytes);
}

/** Whether a socket that was away is given it: Socket.IO leaves out what is volatile and what waits for an answer. */
export function isReplayable(entry: PacketEntry): boolean {
  return !entry.volatile && entry.ack === undefined && entry.packetId === undefined;
}

/**
 * The packet as it goes to a client, without encoding it anew.
 *
 * @param change `id`: the acknowledgement's id; `place`: one argument more, at the end, also where it is null
 */
export function packetsOf(
  entry: PacketEntry,
  change: { readonly id?: number | undefined; readonly place?: string | null | undefined } = {},
): (string | Uint8Array)[] {
  let { text } = entry;
  if (change.id !== undefined) {
    const at = packetPrefix(entry.namespace, entry.attachments.length).length;
    text = `${text.slice(0, at)}${change.id}${text.slice(at)}`;
  }
  if (change.place !== undefined) text = `${text.slice(0, -1)},${JSON.stringify(change.place)}]`;
  return [text, ...entry.attachments];
}

function decodePlain(bytes: Uint8Array): Read<PacketEntry> {
  const decoded = decodeMessage(bytes);
  if (!decoded.ok) return decoded;
  const { event, data } = decoded.message;
  if (!isEvent([event])) return refuse("shape");
  const text = `${packetPrefix("/", 0)}${readText(bytes)?.trimEnd()}`;
  const value = { namespace: "/", except: [], compress: true, volatile: false };
  return { ok: true, value: { ...value, data: [event, data], text, attachments: [] } };
}

function decodeFramed(bytes: Uint8Array): Read<PacketEntry> {
  const frame = decodeFrame(bytes);
  if (!frame.ok) return frame;
  const { header, text, attachments } = frame.value;
  const envelope = readEnvelope(header);
  if (!envelope) return refuse("shape");
  const parts = payloadOf(text, envelope.namespace, attachments.length);
  if (!parts?.payload.startsWith("[") || !parts.payload.endsWith("]")) return refuse("shape");
  const data = readPayload(parts.payload, attachments);
  if (!data.ok) return data;
  if (!isEvent(data.value) || (envelope.ack && parts.id !== "")) return refuse("shape");
  const packetId = parts.id === "" ? {} : { packetId: Number(parts.id) };
  return { ok: true, value: { ...envelope, ...packetId, data: data.value, text, attachments } };
}

function readEnvelope(header: Readonly<Record<string, unknown>>): Envelope | undefined {
  const { n: namespace, x: except = [], m: id, c, v, a } = header;
  // A packet's namespace ends at the first comma.
  if (typeof namespace !== "string" || !/^\/[^,]*$/.test(namespace) || !isRooms(except)) return undefined;
  if (id !== undefined && !isName(id)) return undefined;
  const ack = a === undefined ? undefined : readAck(a);
  if (a !== undefined && !ack) return undefined;
  return {
    namespace,
    except,
    compress: c !== 0,
    volatile: v === 1,
    ...(id !== undefined && { id }),
    ...(ack && { ack }),
  };
}

function readAck(value: unknown): AckRequest | undefined {
  if (!Array.isArray(value)) return undefined;
  const [request, node, timeoutMs] = value;
  if (!isName(request) || !isName(node) || !Number.isSafeInteger(timeoutMs) || timeoutMs < 0)
    return undefined;
  return { request, node, timeoutMs };
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= 100;
}
