import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, isIP } from "node:net";
import type { Endpoint, HealthCheck } from "@holdfast/routing";

/** The name that Google's probes go by; some programs answer them apart. */
const USER_AGENT = "GoogleHC/1.0";

/** The verdict is the head's; of the body only so much is read, and for so long, that the pod may end it in peace. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_BODY_MS = 1000;
const MAX_HEAD_BYTES = 16 * 1024;

/** What a probe found: undefined when it passed, else what was asked and what came, for people. */
export type Verdict = string | undefined;

/**
 * Asks one endpoint once, over a connection of its own, whether it is well. HTTPS and HTTP/2 accept any certificate, as
 * GKE's probes do; HTTP/2 is spoken over TLS only.
 *
 * @param onVerdict called once, within the check's timeout; not after the probe was cancelled
 * @returns cancels the probe
 */
export function startProbe(
  check: HealthCheck,
  endpoint: Endpoint,
  onVerdict: (verdict: Verdict) => void,
): () => void {
  const what = describe(check, endpoint);
  let settled = false;
  let destroy = (): void => {};
  const settle = (verdict: Verdict): void => {
    if (settled) return;
    settled = true;
    clearTimeout(deadline);
    onVerdict(verdict);
  };
  const deadline = setTimeout(() => {
    settle(`${what} took longer than ${check.timeoutSec} s`);
    destroy();
  }, check.timeoutSec * 1000);
  const outcome: ProbeOutcome = {
    passed: () => settle(undefined),
    answered: (status) =>
      settle(passes(check, status) ? undefined : `${what} answered ${status}, want ${wantedOf(check)}`),
    failed: (error) => settle(`${what} failed: ${error.code ?? error.message}`),
  };
  try {
    destroy = PROBES[check.protocol](check, endpoint, outcome);
  } catch (error) {
    // Such as a path with characters that no request can have.
    const { code, message } = error as NodeJS.ErrnoException;
    queueMicrotask(() => settle(`${what} can't be sent: ${code ?? message}`));
  }
  return () => {
    settled = true;
    clearTimeout(deadline);
    destroy();
  };
}

/** The port that is probed. */
export function probedPort({ port }: HealthCheck, endpoint: Endpoint): number {
  return port === "serving" ? endpoint.port : (endpoint.healthPort ?? port);
}

interface ProbeOutcome {
  passed(): void;
  answered(status: number): void;
  failed(error: NodeJS.ErrnoException): void;
}

type Probe = (check: HealthCheck, endpoint: Endpoint, outcome: ProbeOutcome) => () => void;

const PROBES: Record<HealthCheck["protocol"], Probe> = {
  TCP: probeTcp,
  HTTP: (check, endpoint, outcome) => readStatus(httpRequest(requestOf(check, endpoint)), outcome),
  HTTPS: (check, endpoint, outcome) =>
    readStatus(httpsRequest({ ...requestOf(check, endpoint), rejectUnauthorized: false }), outcome),
  HTTP2: probeHttp2,
};

function probeTcp(check: HealthCheck, endpoint: Endpoint, outcome: ProbeOutcome): () => void {
  const port = probedPort(check, endpoint);
  const socket = connect({ host: endpoint.address, port });
  socket.once("connect", () => {
    // A connection from a port to itself succeeds without any listener (TCP's simultaneous open, RFC 9293 §3.5).
    if (socket.localPort === port && socket.localAddress === endpoint.address) {
      outcome.failed(Object.assign(new Error("nobody listens"), { code: "ECONNREFUSED" }));
    } else {
      outcome.passed();
    }
    socket.destroy();
  });
  socket.on("error", outcome.failed);
  return () => socket.destroy();
}

function requestOf(check: HealthCheck, endpoint: Endpoint): RequestOptions {
  return {
    host: endpoint.address,
    port: probedPort(check, endpoint),
    method: "GET",
    path: check.path,
    headers: { Host: hostOf(check, endpoint), "User-Agent": USER_AGENT, Connection: "close" },
    agent: false,
    maxHeaderSize: MAX_HEAD_BYTES,
    insecureHTTPParser: false,
  };
}

function readStatus(request: ClientRequest, outcome: ProbeOutcome): () => void {
  request.on("response", (response: IncomingMessage) => {
    outcome.answered(response.statusCode ?? 0);
    let left = MAX_BODY_BYTES;
    const timer = setTimeout(() => request.destroy(), MAX_BODY_MS).unref();
    response.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) request.destroy();
    });
    response.on("error", () => {});
    response.once("close", () => clearTimeout(timer));
  });
  request.on("upgrade", (response, socket) => {
    outcome.answered(response.statusCode ?? 0);
    socket.destroy();
  });
  request.on("error", outcome.failed);
  request.once("close", () => outcome.failed(new Error("no answer")));
  request.end();
  return () => request.destroy();
}

function probeHttp2(check: HealthCheck, endpoint: Endpoint, outcome: ProbeOutcome): () => void {
  const { address } = endpoint;
  const host = address.includes(":") ? `[${address}]` : address;
  const session = connectHttp2(`https://${host}:${probedPort(check, endpoint)}`, {
    rejectUnauthorized: false,
    // An address is no name that a certificate is chosen by (RFC 6066 §3).
    servername: check.host !== undefined && isIP(check.host) === 0 ? check.host : "",
    maxSessionMemory: 1,
    settings: { enablePush: false },
  });
  session.on("error", outcome.failed);
  session.once("close", () => outcome.failed(new Error("no answer")));
  const stream = session.request({
    ":method": "GET",
    ":path": check.path,
    ":authority": hostOf(check, endpoint),
    "user-agent": USER_AGENT,
  });
  stream.on("error", outcome.failed);
  stream.once("response", (headers) => {
    outcome.answered(headers[":status"] ?? 0);
    session.destroy();
  });
  stream.end();
  return () => session.destroy();
}

function hostOf({ host }: HealthCheck, { address }: Endpoint): string {
  return host ?? (address.includes(":") ? `[${address}]` : address);
}

function passes({ passing }: HealthCheck, status: number): boolean {
  return passing === "200" ? status === 200 : status >= 200 && status < 400;
}

function wantedOf({ passing }: HealthCheck): string {
  return passing === "200" ? "200" : "200 to 399";
}

function describe(check: HealthCheck, endpoint: Endpoint): string {
  if (check.protocol === "TCP") return `connecting to port ${probedPort(check, endpoint)}`;
  const over = check.protocol === "HTTP" ? "" : ` over ${check.protocol === "HTTP2" ? "HTTP/2" : "HTTPS"}`;
  const port = check.port === "serving" ? "" : ` on port ${check.port}`;
  return `GET ${check.path}${port}${over}`;
}
