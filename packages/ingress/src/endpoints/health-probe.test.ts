import { createSecureServer } from "node:http2";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Endpoint, HealthCheck } from "@holdfast/routing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { certificateFor } from "../../test/certificates.ts";
import { serviceOf } from "../../test/models.ts";
import { killPods, startPod } from "../../test/pods.ts";
import { startProbe, type Verdict } from "./health-probe.ts";

const ADDRESS = "127.0.0.9";
const servers = new Set<Server>();
const sockets = new Set<Socket>();

afterEach(async () => {
  await killPods();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  servers.clear();
});

function checkOf(settings: Partial<HealthCheck> = {}): HealthCheck {
  return { ...serviceOf("default/web:80").healthCheck, timeoutSec: 5, ...settings };
}

function probe(endpoint: Endpoint, settings: Partial<HealthCheck> = {}): Promise<Verdict> {
  return new Promise((resolve) => startProbe(checkOf(settings), endpoint, resolve));
}

async function listening(server: Server): Promise<Endpoint> {
  servers.add(server);
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, ADDRESS, resolve));
  return { address: ADDRESS, port: (server.address() as AddressInfo).port, pod: "web", healthy: true };
}

async function answering(status: number, headers: Record<string, string> = {}): Promise<Endpoint> {
  const pod = await startPod("web", {
    address: ADDRESS,
    handle: (_request, response) => response.writeHead(status, headers).end(),
  });
  return pod.endpoint;
}

describe("over HTTP", () => {
  test("asks with the check's path and host, as Google's probes do, on a connection for this once", async () => {
    const { endpoint, seen } = await startPod("web", { address: ADDRESS });
    expect(await probe(endpoint, { path: "/ready?full=1", host: "web.example" })).toBeUndefined();
    expect(await probe(endpoint)).toBeUndefined();
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual(["GET /ready?full=1", "GET /healthz"]);
    expect(seen.map(({ headers }) => headers.host)).toEqual(["web.example", ADDRESS]);
    expect(seen[0]?.headers).toMatchObject({ "user-agent": "GoogleHC/1.0", connection: "close" });
  });

  test.each([
    ["200", 200, undefined],
    ["200", 204, "GET /healthz answered 204, want 200"],
    ["200", 301, "GET /healthz answered 301, want 200"],
    ["200", 404, "GET /healthz answered 404, want 200"],
    ["2xx-3xx", 204, undefined],
    ["2xx-3xx", 302, undefined],
    ["2xx-3xx", 400, "GET /healthz answered 400, want 200 to 399"],
  ] as const)("where %s passes, finds of an answer with %d: %s", async (passing, status, verdict) => {
    const endpoint = await answering(status, status === 301 ? { Location: "/elsewhere" } : {});
    expect(await probe(endpoint, { passing })).toBe(verdict);
  });

  test("asks on a fixed port, or where the pod has it", async () => {
    const health = await answering(200);
    const elsewhere = await answering(503);
    const endpoint = { ...elsewhere, healthy: true };
    expect(await probe(endpoint, { port: health.port })).toBeUndefined();
    expect(await probe({ ...endpoint, healthPort: health.port }, { port: 8081 })).toBeUndefined();
    expect(await probe({ ...endpoint, healthPort: health.port })).toBe("GET /healthz answered 503, want 200");
    expect(await probe(health, { port: elsewhere.port })).toBe(
      `GET /healthz on port ${elsewhere.port} answered 503, want 200`,
    );
  });

  test.each([
    ["that says nothing", ""],
    ["that never ends its head", "HTTP/1.1 200 OK\r\nX-Slow: 1\r\n"],
  ])("gives up on an endpoint %s when the time is over, and lets go of it", async (_what, bytes) => {
    const closed = vi.fn();
    const endpoint = await listening(
      createServer((socket) => {
        socket.once("data", () => socket.write(bytes));
        socket.once("close", closed);
      }),
    );
    expect(await probe(endpoint, { timeoutSec: 0.1 })).toBe("GET /healthz took longer than 0.1 s");
    await vi.waitFor(() => expect(closed).toHaveBeenCalled());
  });

  test.each([
    ["ends the connection", (socket: Socket) => socket.end(), "ECONNRESET"],
    ["speaks something else", (socket: Socket) => socket.end("SSH-2.0-x\r\n"), "HPE_INVALID_CONSTANT"],
    [
      "sends a head without end",
      (socket: Socket) => socket.write(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}\r\n`),
      "HPE_HEADER_OVERFLOW",
    ],
  ])("fails where the endpoint %s", async (_what, react, code) => {
    const endpoint = await listening(createServer((socket) => socket.once("data", () => react(socket))));
    expect(await probe(endpoint)).toBe(`GET /healthz failed: ${code}`);
  });

  test("fails where nobody listens", async () => {
    const pod = await startPod("web", { address: ADDRESS });
    await pod.kill();
    expect(await probe(pod.endpoint)).toBe("GET /healthz failed: ECONNREFUSED");
  });

  test("fails on an upgrade that nobody asked for", async () => {
    const endpoint = await listening(
      createServer((socket) =>
        socket.once("data", () => {
          socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        }),
      ),
    );
    expect(await probe(endpoint)).toBe("GET /healthz answered 101, want 200");
  });

  test("goes by the head, and reads no more of a body than a little", async () => {
    let written = 0;
    const closed = vi.fn();
    const { endpoint } = await startPod("web", {
      address: ADDRESS,
      handle: (_request, response) => {
        const chunk = Buffer.alloc(16 * 1024);
        const more = () => {
          if (!response.destroyed && written < 1e9) response.write(chunk, more);
          written += chunk.length;
        };
        response.writeHead(200);
        response.once("close", closed);
        more();
      },
    });
    expect(await probe(endpoint)).toBeUndefined();
    await vi.waitFor(() => expect(closed).toHaveBeenCalled());
    expect(written).toBeLessThan(1e8);
  });

  test("fails with a path that no request can have", async () => {
    const endpoint = await answering(200);
    expect(await probe(endpoint, { path: "/a b" })).toBe("GET /a b can't be sent: ERR_UNESCAPED_CHARACTERS");
  });

  test("says nothing once it is cancelled, and closes its connection", async () => {
    const closed = vi.fn();
    const asked = vi.fn();
    const endpoint = await listening(
      createServer((socket) => {
        socket.once("data", asked);
        socket.once("close", closed);
      }),
    );
    const onVerdict = vi.fn();
    const cancel = startProbe(checkOf({ timeoutSec: 0.2 }), endpoint, onVerdict);
    await vi.waitFor(() => expect(asked).toHaveBeenCalled());
    cancel();
    await vi.waitFor(() => expect(closed).toHaveBeenCalled());
    expect(await probe(endpoint, { timeoutSec: 0.3 })).toMatch(/took longer/);
    expect(onVerdict).not.toHaveBeenCalled();
  });
});

describe("over TLS", () => {
  test("asks over HTTPS and takes any certificate", async () => {
    const identity = await certificateFor(["some.example"]);
    const tls = { key: identity.privateKey, cert: identity.chain };
    const endpoint = await listening(
      createHttpsServer(tls, (request, response) =>
        response.writeHead(request.url === "/healthz" ? 200 : 404).end(),
      ),
    );
    expect(await probe(endpoint, { protocol: "HTTPS" })).toBeUndefined();
    expect(await probe(endpoint, { protocol: "HTTPS", path: "/" })).toBe(
      "GET / over HTTPS answered 404, want 200",
    );
    expect(await probe(endpoint)).toMatch(/^GET \/healthz failed: /);
  });

  test("asks over HTTP/2", async () => {
    const identity = await certificateFor(["some.example"]);
    const tls = { key: identity.privateKey, cert: identity.chain };
    const seen: string[] = [];
    const server = createSecureServer(tls, (request, response) => {
      seen.push(`${request.httpVersion} ${request.authority} ${request.headers["user-agent"]}`);
      response.writeHead(request.url === "/healthz" ? 200 : 404).end();
    });
    const endpoint = await listening(server);
    expect(await probe(endpoint, { protocol: "HTTP2", host: "web.example" })).toBeUndefined();
    expect(seen).toEqual(["2.0 web.example GoogleHC/1.0"]);
    expect(await probe(endpoint, { protocol: "HTTP2", path: "/" })).toBe(
      "GET / over HTTP/2 answered 404, want 200",
    );
    const plain = await startPod("plain", { address: ADDRESS });
    expect(await probe(plain.endpoint, { protocol: "HTTP2" })).toMatch(
      /^GET \/healthz over HTTP\/2 failed: /,
    );
  });
});

test("over TCP a connection that is accepted is enough", async () => {
  const endpoint = await listening(createServer());
  expect(await probe(endpoint, { protocol: "TCP" })).toBeUndefined();
  const gone = await startPod("gone", { address: ADDRESS });
  await gone.kill();
  expect(await probe(gone.endpoint, { protocol: "TCP" })).toBe(
    `connecting to port ${gone.endpoint.port} failed: ECONNREFUSED`,
  );
});
