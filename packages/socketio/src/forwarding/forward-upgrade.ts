import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Handover } from "./forward-request.ts";
import { forwardedFields } from "./header-fields.ts";
import { CONNECT_MS } from "./owner-link.ts";

/** How long a client may take to read the last bytes once its owner's connection is over. */
const CLOSING_MS = 10_000;

/**
 * Hands an upgrade to the node that owns its session, as raw bytes over a connection of its own: the handshake is between
 * the client and the owner, and no frame is read on the way.
 */
export function forwardUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer, handover: Handover): void {
  const { link, host, port, by } = handover;
  const upstream = connect({ host, port, noDelay: true });

  let state: "asked" | "answered" | "over" = "asked";
  const end = (error?: Error) => {
    if (state === "over") return;
    const wasAnswered = state === "answered";
    state = "over";
    clearTimeout(timer);
    left();
    socket.off("close", onClose);
    socket.unpipe(upstream);
    upstream.destroy();
    if (wasAnswered) finish(socket, error);
    else if (!socket.destroyed) handover.failed(error ?? new Error("The connection ended before an answer."));
    handover.over();
  };
  const left = link.open((error) => end(error));
  const timer = setTimeout(() => end(new Error("No connection in time.")), CONNECT_MS);
  const onClose = () => end();
  socket.once("close", onClose);
  // What broke is told by "close"; without a listener it would end the process.
  socket.on("error", () => {});

  upstream.on("error", (error) => end(error));
  upstream.once("close", () => end());
  upstream.once("connect", () => {
    clearTimeout(timer);
    upstream.write(requestHead(req, by), "latin1");
    if (head.length > 0) upstream.write(head);
    socket.pipe(upstream);
  });
  upstream.once("data", (first: Buffer) => {
    if (state !== "asked") return;
    state = "answered";
    handover.answered();
    socket.write(first);
    upstream.pipe(socket);
  });
}

function requestHead(req: IncomingMessage, by: string): string {
  // An upgrade has no body: what follows its head is the new protocol's, on both sides.
  const fields = forwardedFields(req, by, ["content-length"]);
  fields.push("Connection", "Upgrade", "Upgrade", req.headers.upgrade ?? "websocket");
  let head = `${req.method} ${req.url} HTTP/1.1\r\n`;
  for (let at = 0; at < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${head}\r\n`;
}

function finish(socket: Duplex, error: Error | undefined): void {
  if (error) {
    socket.destroy();
    return;
  }
  socket.end();
  const timer = setTimeout(() => socket.destroy(), CLOSING_MS).unref();
  socket.once("close", () => clearTimeout(timer));
}
