import { existsSync, statSync } from "node:fs";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { resolve } from "node:path";
import type { Registry } from "prom-client";
import sirv from "sirv";
import type { ClientBundle } from "./client-bundle.ts";
import { ServerError } from "./errors.ts";

export interface Pages {
  readonly node: string;
  readonly staticFolder: string | undefined;
  readonly bundle: ClientBundle;
  readonly registry: Registry;
  readonly isReady: () => boolean;
}

/**
 * What a socket server answers beside Socket.IO. `/` is always a 200: it is what Google's load balancer asks for
 * where a pod has no readiness probe of its own.
 *
 * @throws ServerError `STATIC_MISSING`
 */
export function pageListener(pages: Pages): RequestListener {
  const files = pages.staticFolder === undefined ? undefined : serveFolder(pages.staticFolder);
  return (request, response) => {
    const path = pathOf(request);
    if (request.method !== "GET" && request.method !== "HEAD") answer(response, 405, "method not allowed\n");
    else if (path === "/healthz") answer(response, 200, "ok\n");
    else if (path === "/readyz") {
      if (pages.isReady()) answer(response, 200, "ready\n");
      else answer(response, 503, "not ready: the broker does not bring back what this node publishes\n");
    } else if (path === "/metrics") void sendMetrics(pages.registry, response);
    else if (pages.bundle.serve(path, request, response)) return;
    else if (files) files(request, response, () => fallback(path, pages, response));
    else fallback(path, pages, response);
  };
}

function fallback(path: string, pages: Pages, response: ServerResponse): void {
  if (path === "/") answer(response, 200, `Holdfast socket server ${pages.node}\n`);
  else answer(response, 404, "not found\n");
}

function serveFolder(folder: string): ReturnType<typeof sirv> {
  const absolute = resolve(folder);
  if (!existsSync(absolute) || !statSync(absolute).isDirectory()) {
    throw new ServerError("STATIC_MISSING", `HOLDFAST_STATIC=${folder} (read as ${absolute})`);
  }
  return sirv(absolute, { etag: true, dev: true });
}

async function sendMetrics(registry: Registry, response: ServerResponse): Promise<void> {
  try {
    const text = await registry.metrics();
    response.writeHead(200, { "content-type": registry.contentType }).end(text);
  } catch {
    answer(response, 500, "the metrics could not be read\n");
  }
}

function pathOf(request: IncomingMessage): string {
  const url = request.url ?? "/";
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(text);
}
