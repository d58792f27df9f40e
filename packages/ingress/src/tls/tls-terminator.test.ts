import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { Certificate } from "@holdfast/routing";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { certificateFor } from "../../test/certificates.ts";
import { ServerCertificates } from "./server-certificates.ts";
import { TlsTerminator } from "./tls-terminator.ts";

const SECRET = "a secret that is long enough for this test";

let first: Certificate;
let second: Certificate;
let exact: Certificate;
beforeAll(async () => {
  first = await certificateFor(["first.example", "*.wild.example"], "default/first");
  second = await certificateFor(["second.example", "*.wild.example", "*.only.example"], "default/second");
  exact = await certificateFor(["exact.wild.example"], "default/exact");
});

interface Terminated {
  readonly terminator: TlsTerminator;
  readonly port: number;
  readonly failures: string[];
  readonly open: Set<TLSSocket>;
}

const servers = new Set<Server>();
const sockets = new Set<Socket>();
afterEach(() => {
  for (const server of servers) server.close();
  for (const socket of sockets) socket.destroy();
  servers.clear();
  sockets.clear();
});

/** A server behind the terminator that sends back what comes, after `SECURE `. */
async function terminate(
  certificates: readonly Certificate[],
  { handshakeTimeoutMs = 10_000 } = {},
): Promise<Terminated> {
  const terminator = new TlsTerminator(new ServerCertificates(certificates), {
    ticketSecret: SECRET,
    handshakeTimeoutMs,
  });
  const failures: string[] = [];
  const open = new Set<TLSSocket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    terminator.handshake(socket, {
      secured: (secured) => {
        open.add(secured);
        secured.on("error", () => {});
        secured.once("close", () => open.delete(secured));
        secured.on("data", (data) => secured.write(`SECURE ${data}`));
      },
      failed: (code) => failures.push(code),
    });
  });
  servers.add(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { terminator, port: (server.address() as AddressInfo).port, failures, open };
}

async function shakeHands(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  sockets.add(socket);
  await once(socket, "secureConnect");
  return socket;
}

async function shownName(port: number, servername?: string): Promise<string | undefined> {
  const socket = await shakeHands(port, servername === undefined ? {} : { servername });
  const { subjectaltname, subject } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname?.split(",")[0] ?? String(subject.CN);
}

async function ask(socket: TLSSocket, text: string): Promise<string> {
  socket.write(text);
  const [answer] = (await once(socket, "data")) as [Buffer];
  return answer.toString();
}

describe("the certificate that a client is shown", () => {
  test("is the one that has the name it asks for, an exact one before a wildcard, the earlier one before the later", async () => {
    const { port } = await terminate([first, second, exact]);
    expect(await shownName(port, "second.example")).toBe("DNS:second.example");
    expect(await shownName(port, "SECOND.example")).toBe("DNS:second.example");
    expect(await shownName(port, "a.only.example")).toBe("DNS:second.example");
    expect(await shownName(port, "a.wild.example")).toBe("DNS:first.example");
    expect(await shownName(port, "exact.wild.example")).toBe("DNS:exact.wild.example");
  });

  test("is the first one where none has the name, or none is asked for", async () => {
    const { port } = await terminate([first, second]);
    expect(await shownName(port)).toBe("DNS:first.example");
    expect(await shownName(port, "else.example")).toBe("DNS:first.example");
    expect(await shownName(port, "a.b.only.example")).toBe("DNS:first.example");
    expect(await shownName(port, "only.example")).toBe("DNS:first.example");
  });
});

describe("replacing the certificates", () => {
  test("shows the new ones to new clients, and leaves open connections alone", async () => {
    const { terminator, port } = await terminate([first]);
    const open = await shakeHands(port, { servername: "first.example" });
    terminator.show(new ServerCertificates([second]));
    expect(await shownName(port, "first.example")).toBe("DNS:second.example");
    expect(await ask(open, "still here")).toBe("SECURE still here");
  });
});

describe("a handshake", () => {
  test.each(["TLSv1.2", "TLSv1.3"] as const)("is done over %s, with HTTP/1.1 by ALPN", async (version) => {
    const { port } = await terminate([first]);
    const options = { minVersion: version, maxVersion: version, ALPNProtocols: ["h2", "http/1.1"] };
    const socket = await shakeHands(port, options);
    expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, "http/1.1"]);
    expect(await ask(socket, "hello")).toBe("SECURE hello");
  });

  test.each<[string, ConnectionOptions, string]>([
    ["speaks HTTP/2 alone", { ALPNProtocols: ["h2"] }, "ERR_SSL_NO_APPLICATION_PROTOCOL"],
    [
      "knows no version after 1.1",
      { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
      "ERR_SSL_UNSUPPORTED_PROTOCOL",
    ],
  ])("fails with a client that %s", async (_what, options, code) => {
    const { port, failures } = await terminate([first]);
    await expect(shakeHands(port, options)).rejects.toThrow();
    await vi.waitFor(() => expect(failures).toEqual([code]));
  });

  test("fails, and ends the connection, where there is no certificate", async () => {
    const { port, failures } = await terminate([]);
    await expect(shakeHands(port)).rejects.toThrow();
    await vi.waitFor(() => expect(failures).toEqual([expect.stringMatching(/^ERR_SSL_NO_S/)]));
  });

  test("fails with a client that doesn't speak TLS", async () => {
    const { port, failures } = await terminate([first]);
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {}).write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "close");
    expect(failures).toEqual(["ERR_SSL_HTTP_REQUEST"]);
  });

  test("has its time", async () => {
    const { port, failures } = await terminate([first], { handshakeTimeoutMs: 50 });
    const socket = connect(port, "127.0.0.1").resume();
    await once(socket, "close");
    await vi.waitFor(() => expect(failures).toEqual(["ERR_TLS_HANDSHAKE_TIMEOUT"]));
  });

  test("ends with its client", async () => {
    const { port, failures } = await terminate([first]);
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    socket.resetAndDestroy();
    await vi.waitFor(() => expect(failures).toEqual(["ECONNRESET"]));
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "of %s is resumed at another terminator that has the secret",
    async (version) => {
      const [one, other] = [await terminate([first, second]), await terminate([first, second])];
      const options = { servername: "second.example", minVersion: version, maxVersion: version };
      const socket = await shakeHands(one.port, options);
      const session = once(socket, "session") as Promise<[Buffer]>;
      const ticket = version === "TLSv1.2" ? (socket.getSession() as Buffer) : (await session)[0];
      socket.destroy();
      const again = await shakeHands(other.port, { ...options, session: ticket });
      expect(again.isSessionReused()).toBe(true);
      expect(await ask(again, "hello")).toBe("SECURE hello");
    },
  );
});

test("bytes that were read and put back are part of the handshake", async () => {
  const terminator = new TlsTerminator(new ServerCertificates([first]), {
    ticketSecret: SECRET,
    handshakeTimeoutMs: 1000,
  });
  const secured = vi.fn();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("data", (data) => {
      socket.pause();
      socket.unshift(data);
      terminator.handshake(socket, { secured, failed: () => {} });
    });
  });
  servers.add(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  await shakeHands((server.address() as AddressInfo).port);
  await vi.waitFor(() => expect(secured).toHaveBeenCalledOnce());
});
