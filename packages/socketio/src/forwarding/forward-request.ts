import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { endToEnd, forwardedFields } from "./header-fields.ts";
import { CONNECT_MS, type OwnerLink } from "./owner-link.ts";

/** One request or upgrade on its way to the owner of its session. */
export interface Handover {
  readonly link: OwnerLink;
  readonly host: string;
  readonly port: number;
  /** The process that hands it over. */
  readonly by: string;
  /** Bytes that a request's body may have. */
  readonly maxBytes: number;
  /** The owner began to answer. */
  readonly answered: () => void;
  /** The owner can't be reached or ended before an answer: called at most once, and nothing was sent to the client. */
  readonly failed: (error: Error) => void;
  /** It is over, in whatever way. Called once. */
  readonly over: () => void;
}

/**
 * Hands a polling request to the node that owns its session, and streams the answer back. A client that goes away ends
 * it there too, an owner that ends in the middle of an answer breaks the client's connection: nothing looks whole
 * that is not. There is no time-out for the answer, since a long poll may last; the owner's lease ends it.
 */
export function forwardRequest(req: IncomingMessage, res: ServerResponse, handover: Handover): void {
  const { link, host, port, by, maxBytes } = handover;
  const hasBody = req.method === "POST";
  if (hasBody && Number(req.headers["content-length"] ?? 0) > maxBytes) {
    refuseTooLarge(res);
    handover.over();
    return;
  }
  // A body that came with a GET would be read as the next request.
  const headers = forwardedFields(req, by, hasBody ? [] : ["content-length"]);
  let upstream: ClientRequest;
  try {
    upstream = request({ host, port, agent: link.agent, method: req.method, path: req.url, headers });
  } catch (error) {
    handover.failed(error as Error);
    handover.over();
    return;
  }

  let state: "asked" | "answered" | "over" = "asked";
  const end = (error?: Error, then?: () => void) => {
    if (state === "over") return;
    const wasAnswered = state === "answered";
    state = "over";
    left();
    res.off("close", onClose);
    req.unpipe(upstream);
    // It may have answered before it had the whole body.
    if (error || then || !upstream.writableEnded) upstream.destroy();
    if (then) then();
    else if (error && wasAnswered) res.destroy();
    else if (error) handover.failed(error);
    handover.over();
  };
  const left = link.open((error) => end(error));
  const onClose = () => end(undefined, res.writableFinished ? undefined : () => {});
  res.once("close", onClose);

  upstream.on("error", (error) => end(error));
  upstream.once("close", () => {
    if (state === "asked") end(new Error("The connection ended before an answer."));
  });
  upstream.once("socket", (socket) => {
    if (!socket.connecting) return;
    const timer = setTimeout(() => upstream.destroy(new Error("No connection in time.")), CONNECT_MS);
    const clear = () => clearTimeout(timer);
    socket.once("connect", clear).once("close", clear);
  });
  upstream.once("response", (answer) => {
    if (state !== "asked") return;
    try {
      res.writeHead(answer.statusCode ?? 0, answer.statusMessage, endToEnd(answer));
    } catch (error) {
      end(error as Error);
      return;
    }
    state = "answered";
    handover.answered();
    pipeline(answer, res, (error) => end(error ?? undefined));
  });
  if (!hasBody) {
    upstream.end();
    return;
  }
  let bytes = 0;
  req.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes && state === "asked") end(undefined, () => refuseTooLarge(res));
  });
  req.pipe(upstream);
}

/** As Engine.IO itself does, and the rest of the body is not waited for. */
function refuseTooLarge(res: ServerResponse): void {
  res.writeHead(413, { Connection: "close" }).end();
}
