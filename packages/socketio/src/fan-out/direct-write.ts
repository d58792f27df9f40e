import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { getSystemErrorName } from "node:util";

// Everything that Holdfast uses of Node.js beyond its documentation to write to a connection is in this file. It is what
// `net.Socket` does with a Buffer, without what a stream does around it: that costs as much as Node.js's part of the write.
// `handleOf` tells whether a connection can be written to so, and the first write of the process is looked at closely.

/** A write that the kernel does not take at once. */
interface WriteRequest {
  handle: Handle;
  /** Keeps the bytes while they are under way. */
  buffer: Uint8Array;
  oncomplete: (status: number) => void;
}

/** The system's end of a TCP connection: Node.js's LibuvStreamWrap. */
export interface Handle {
  /** Bytes that the kernel has not taken. */
  readonly writeQueueSize: number;
  readonly bytesWritten: number;
  /** @returns 0, or the negated number of an error: then nothing was written */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  /** What the last write came to. */
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

/** Whose the bytes are. */
export interface Writer {
  /** What was under way has ended. `error`: why the connection can't go on. */
  written(bytes: number, error: Error | undefined): void;
}

const wrap = streamWrap();
const { write, _write, _writeGeneric } = Socket.prototype as unknown as Record<string, unknown>;
/** Not used for anything while every write is taken at once. */
let spare = wrap && new wrap.WriteWrap();
/** Undefined: nothing was written yet. */
let isAsKnown: boolean | undefined;

function streamWrap(): StreamWrap | undefined {
  // Node.js then warns of what is asked for here.
  const { execArgv, env } = process;
  const isToWarn = [...execArgv, env.NODE_OPTIONS].some((flag) => flag?.includes("--pending-deprecation"));
  if (isToWarn || env.NODE_PENDING_DEPRECATION === "1") return undefined;
  try {
    const { binding } = process as unknown as { binding(name: string): Partial<StreamWrap> };
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = binding("stream_wrap");
    const isKnown =
      typeof WriteWrap === "function" &&
      streamBaseState instanceof Int32Array &&
      typeof kLastWriteWasAsync === "number" &&
      kLastWriteWasAsync < streamBaseState.length;
    return isKnown ? { WriteWrap, streamBaseState, kLastWriteWasAsync } : undefined;
  } catch {
    // Node.js's permissions forbid it.
    return undefined;
  }
}

/**
 * Where to write past a stream, while nothing is under way in it; undefined: it has to be written to itself, because it
 * is not Node.js's own TCP connection, somebody looks at what is written to it, or it counts the time since.
 */
export function handleOf(stream: Duplex): Handle | undefined {
  if (!wrap || isAsKnown === false || stream.constructor !== Socket) return undefined;
  const socket = stream as Socket & { readonly _write: unknown; readonly _writeGeneric: unknown };
  const isPlain =
    socket.write === write &&
    socket._write === _write &&
    socket._writeGeneric === _writeGeneric &&
    socket.writable &&
    socket.writableLength === 0 &&
    socket.writableCorked === 0 &&
    !socket.connecting &&
    !socket.timeout;
  if (!isPlain) return undefined;
  const { _handle: handle } = stream as unknown as { readonly _handle: Partial<Handle> | null | undefined };
  if (typeof handle?.writeBuffer !== "function" || handle.writeQueueSize !== 0) return undefined;
  return handle as Handle;
}

/**
 * @param writer told later, when the answer is that the bytes are under way
 * @returns "refused": nothing was written, and the stream is to find out why
 */
export function writeDirectly(
  handle: Handle,
  bytes: Uint8Array,
  writer: Writer,
): "taken" | "under way" | "refused" {
  if (!wrap || !spare || isAsKnown === false) return "refused";
  const before = isAsKnown === undefined ? handle.bytesWritten : 0;
  if (handle.writeBuffer(spare, bytes) !== 0) return "refused";
  const isUnderWay = wrap.streamBaseState[wrap.kLastWriteWasAsync] !== 0;
  if (isAsKnown === undefined) {
    isAsKnown = handle.bytesWritten - before === bytes.length;
    if (!isAsKnown && handle.bytesWritten === before) return "refused";
  }
  if (!isUnderWay) return "taken";
  const request = spare;
  spare = new wrap.WriteWrap();
  request.handle = handle;
  request.buffer = bytes;
  request.oncomplete = (status) => writer.written(bytes.length, status < 0 ? writeError(status) : undefined);
  return "under way";
}

/** As Node.js makes it. */
function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { errno: status, code, syscall: "write" });
}

/**
 * Whether the kernel has all that was written to a stream. An encrypted stream says so only later: for it what is looked
 * at is the connection beneath.
 *
 * @param isOne the stream held nothing before its last write, and that was small enough to be encrypted at once
 */
export function isTaken(stream: Duplex, isOne: boolean): boolean {
  if (stream.writableLength === 0) return true;
  if (!isOne || stream.writableCorked > 0 || !(stream instanceof TLSSocket)) return false;
  const { _handle: handle } = stream as unknown as {
    readonly _handle?: { readonly _parent?: Partial<Handle> } | null;
  };
  return handle?._parent?.writeQueueSize === 0;
}
