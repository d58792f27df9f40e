import type { Face } from "@holdfast/routing";
import type { FieldSet } from "./field-set.ts";
import { CHUNKED, type RequestHead } from "./request-head.ts";

/** On whose behalf, and how, a request is forwarded. */
export interface Forwarding {
  readonly face: Face;
  /** The client's address: the other end of its connection, or who a trusted proxy says it is. */
  readonly client: string;
  /** The load balancer's own address on that connection. */
  readonly address: string;
  /** What the client's connection speaks. */
  readonly proto: "http" | "https";
  /** Whether what the client says about whom it forwards for is believed. Only face `holdfast` asks. */
  readonly trusted?: boolean | undefined;
  /** The backend service's own request fields. */
  readonly set?: FieldSet | undefined;
  /** The protocol to change to. */
  readonly upgrade?: string | undefined;
  /** Let the pod say `100 Continue`. */
  readonly expectContinue?: boolean | undefined;
  /** `X-Cloud-Trace-Context` for a request that has none. */
  readonly trace?: string | undefined;
  /** Nothing more will come over this connection to the pod. */
  readonly close?: boolean | undefined;
}

/** Methods whose requests have no body unless they say so (RFC 9110 §8.6). */
const BODILESS = /^(?:GET|HEAD|DELETE|OPTIONS|TRACE)$/;

/**
 * The head that a pod is given, CRLF CRLF included: `Host` first, the client's own fields, who forwards it and for
 * whom, and framing that says what the client's said.
 *
 * Faces `gce` and `gce-envoy`: `X-Forwarded-For: <what the client sent>,<client>,<load balancer>`, so only the last
 * two can be believed, `X-Forwarded-Proto`, `Via: 1.1 google`; other such fields of the client's go through. Face
 * `holdfast`: `X-Forwarded-For`, `-Proto` and `-Host` say what the ingress knows, and the client's own are kept
 * only where it is trusted.
 */
export function writeRequestHead(head: RequestHead, forwarding: Forwarding): string {
  let fields =
    head.fields + (forwarding.face === "holdfast" ? ours(head, forwarding) : googles(head, forwarding));
  if (forwarding.set !== undefined) fields = forwarding.set.applyTo(fields);
  if (head.body === CHUNKED) fields += "Transfer-Encoding: chunked\r\n";
  else if (head.sized || !BODILESS.test(head.method)) fields += `Content-Length: ${head.body}\r\n`;
  if (forwarding.expectContinue === true) fields += "Expect: 100-continue\r\n";
  if (forwarding.upgrade !== undefined) fields += `Connection: Upgrade\r\nUpgrade: ${forwarding.upgrade}\r\n`;
  else if (forwarding.close === true) fields += "Connection: close\r\n";
  return `${head.method} ${head.target} HTTP/1.1\r\nHost: ${head.host}\r\n${fields}\r\n`;
}

function googles(head: RequestHead, { client, address, proto, trace }: Forwarding): string {
  const before = head.forwardedFor ? `${head.forwardedFor},` : "";
  const traced = trace === undefined || head.traced ? "" : `X-Cloud-Trace-Context: ${trace}\r\n`;
  return `${head.forwarded}X-Forwarded-For: ${before}${client},${address}\r\nX-Forwarded-Proto: ${proto}\r\nVia: 1.1 google\r\n${traced}`;
}

function ours(head: RequestHead, { client, proto, trusted }: Forwarding): string {
  const via = `Via: 1.${head.minor} holdfast\r\n`;
  if (trusted !== true) {
    return `X-Forwarded-For: ${client}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${head.host}\r\n${via}`;
  }
  const before = head.forwardedFor ? `${head.forwardedFor},` : "";
  const host = /^x-forwarded-host:/im.test(head.forwarded) ? "" : `X-Forwarded-Host: ${head.host}\r\n`;
  return `${head.forwarded}X-Forwarded-For: ${before}${client}\r\nX-Forwarded-Proto: ${head.forwardedProto ?? proto}\r\n${host}${via}`;
}
