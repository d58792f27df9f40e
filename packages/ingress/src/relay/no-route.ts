import type { RequestEvent } from "../events.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { NOT_FOUND } from "./error-page.ts";

/** A request whose host and path lead nowhere, and that was answered here. */
export function noRouteEvent(loadBalancer: string, client: string, head: RequestHead): RequestEvent {
  return {
    type: "request",
    loadBalancer,
    client,
    method: head.method,
    host: head.hostname,
    path: head.path,
    outcome: "no-route",
    status: NOT_FOUND.status,
    tries: 0,
    ms: 0,
  };
}
