import { createHash } from "node:crypto";
import { isChannelName } from "@holdfast/broker";
import { RESERVED_PREFIX } from "../wire.ts";

/** Socket.IO takes any value for a room's name; text is what its documentation asks for. */
export type Room = string;

/** Requests to all nodes. */
export const CLUSTER_CHANNEL = "holdfast:cluster";

/** Rooms of which each node's part is its own: nothing is sent to them across nodes. */
export const LOCAL_ROOM_PREFIX = "holdfast:channel:";

const MAX_CHANNEL_CHARACTERS = 200;
const SOCKET_ID = /^[\w-]{20}$/;
const TO_ESCAPE = /[^A-Za-z0-9_./@,+~#-]/g;

/** Answers to one node's requests. */
export function inboxChannel(uid: string): string {
  return `holdfast:inbox:${uid}`;
}

/** Everybody in a namespace. */
export function namespaceChannel(namespace: string): string {
  return named("nsp", escaped(namespace), [namespace]);
}

/**
 * The channel that carries a room: for the main namespace the channel of the room's own name, where that is one, so
 * that what is published to the channel reaches the room. Two rooms never have the same channel.
 */
export function roomChannel(namespace: string, room: Room): string {
  if (isSocketRoom(room)) return socketChannel(namespace, room);
  if (namespace === "/" && isPlainChannel(room)) return room;
  const text = typeof room === "string" ? escaped(room) : `=n${escaped(String(room))}`;
  return named("room", `${escaped(namespace)}:${text}`, [namespace, typeof room, String(room)]);
}

/** A node asks for it with each socket that connects, and nothing in a socket's id has to be escaped. */
function socketChannel(namespace: string, room: Room): string {
  // As bytes first: of joined texts V8 keeps the joint as long as the socket lives.
  if (namespace === "/") return Buffer.from(`holdfast:sid:/:${room}`, "latin1").toString("latin1");
  return named("sid", `${escaped(namespace)}:${room}`, [namespace, typeof room, room]);
}

/** Whether a channel's entries are plain `[event,data]`, as the publish API and `@holdfast/client` know them. */
export function isPlainChannel(channel: unknown): boolean {
  return isChannelName(channel) && !channel.startsWith(RESERVED_PREFIX) && !isSocketRoom(channel);
}

/** Whether a room is named like those that Socket.IO makes for each socket: 20 characters of letters, digits, _ and -. */
export function isSocketRoom(room: unknown): boolean {
  return typeof room === "string" && SOCKET_ID.test(room);
}

/** Whether a room is one of all nodes. */
export function isShared(room: Room): boolean {
  return typeof room !== "string" || !room.startsWith(LOCAL_ROOM_PREFIX);
}

/** Whether a value is a list of rooms: text by Socket.IO's documentation, and numbers in many programs. */
export function isRooms(value: unknown): value is readonly Room[] {
  return Array.isArray(value) && value.every((room) => typeof room === "string" || typeof room === "number");
}

/** A name too long for a channel is hashed; what is written out always holds a slash, the first of its namespace. */
function named(kind: string, text: string, parts: readonly string[]): string {
  const name = `holdfast:${kind}:${text}`;
  if (name.length <= MAX_CHANNEL_CHARACTERS) return name;
  const digest = createHash("sha256").update(JSON.stringify(parts), "utf8").digest("hex");
  return `holdfast:${kind}:sha256-${digest}`;
}

/** By UTF-16 code units, so that text which is not well-formed keeps its differences. */
function escaped(text: string): string {
  return text.replace(TO_ESCAPE, (unit) => {
    const code = unit.charCodeAt(0).toString(16);
    return code.length <= 2 ? `=${code.padStart(2, "0")}` : `=u${code.padStart(4, "0")}`;
  });
}
