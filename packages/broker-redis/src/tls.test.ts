import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectTo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { generate } from "selfsigned";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { keeper } from "../../broker/test/keeper.ts";
import { Followed, publishSurely } from "../test/followed.ts";
import { RedisServer } from "../test/redis-server.ts";
import { connectRedisBroker } from "./mod.ts";

const QUICK = { minBackOffMs: 5, maxBackOffMs: 50, requestMs: 10_000 };

let certificate: { readonly cert: string; readonly private: string };
let folder: string;
let server: RedisServer;
beforeAll(async () => {
  certificate = await certificateFor("127.0.0.1");
  folder = await mkdtemp(join(tmpdir(), "holdfast-tls-"));
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(cert, certificate.cert);
  await writeFile(key, certificate.private);
  const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
  server = await RedisServer.start(...files, "--tls-auth-clients", "no", "--requirepass", "secret", "--tls");
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const keep = keeper();

function connect(url: string, ca?: string) {
  const broker = connectRedisBroker(url, { ...QUICK, ...(ca && { ca }) });
  return keep(broker, () => broker.close());
}

/** Signed by itself, for this name or address. */
async function certificateFor(name: string) {
  const altName = /^[0-9.]+$/.test(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name };
  const extensions = [{ name: "subjectAltName" as const, altNames: [altName] }];
  return generate([{ name: "commonName", value: name }], { keyType: "ec", extensions });
}

test("a server with a certificate of a known authority is spoken to in TLS", async () => {
  const broker = connect(`rediss://:secret@127.0.0.1:${server.tlsPort}`, certificate.cert);
  const seen = await Followed.on(broker, "room");
  await publishSurely(broker, "room", "1");
  await vi.waitFor(() => expect(seen.contents).toEqual(["1"]));
});

test("one of an unknown authority is refused at once, and the caller is told why", async () => {
  const broker = connect(`rediss://:secret@127.0.0.1:${server.tlsPort}`);
  const refused = {
    code: "BROKER_UNAVAILABLE",
    message: expect.stringMatching(/certificate is refused: self-signed/),
  };
  await expect(broker.publish("room", new Uint8Array())).rejects.toMatchObject(refused);
});

test("a known authority's certificate for another name is refused, and a name is asked for by SNI", async () => {
  const names: string[] = [];
  const [right, wrong] = [await certificateFor("localhost"), await certificateFor("other.example")];
  const front = createServer({ key: wrong.private, cert: wrong.cert }, (socket) => {
    names.push(String(socket.servername));
    const behind = connectTo(server.port, "127.0.0.1");
    for (const one of [socket, behind]) one.on("error", () => undefined);
    socket.pipe(behind).pipe(socket);
  });
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  keep(front, () => front.close());
  const { port } = front.address() as { port: number };
  const broker = connect(`rediss://:secret@localhost:${port}`, `${right.cert}\n${wrong.cert}`);
  const refused = { message: expect.stringMatching(/certificate is refused: .*altnames/) };
  await expect(broker.publish("room", new Uint8Array())).rejects.toMatchObject(refused);
  front.setSecureContext({ key: right.private, cert: right.cert });
  await vi.waitFor(async () =>
    expect((await broker.publish("room", new Uint8Array())).seq).toBeGreaterThan(0),
  );
  expect(names.at(-1)).toBe("localhost");
});

test("what is no certificate is no option", () => {
  expect(() => connectRedisBroker("rediss://127.0.0.1", { ca: "/etc/ca.pem" })).toThrow(
    expect.objectContaining({ code: "OPTIONS_INVALID" }),
  );
});
