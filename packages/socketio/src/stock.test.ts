import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { openEmbeddedBroker } from "@holdfast/broker";
import { type Namespace, Server, type Socket } from "socket.io";
import { io as connect } from "socket.io-client";
import { Decoder } from "socket.io-parser";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type FanOutServer, startServer } from "../test/fan-out-server.ts";
import { HoldfastError } from "./errors.ts";
import { createHoldfast } from "./holdfast.ts";
import { connectionMisfit, connectionOf, requireServer, requireSocket } from "./stock.ts";

const OF_NAMESPACE = ["_ids", "_onServerSideEmit", "server.encoder.encode", "server.opts"];
const OF_SOCKET = [
  ...["packet", "acks.set", "acks.delete", "notifyOutgoingListeners", "client.writeToEngine"],
  ...["client.conn.transport", "client.conn.writeBuffer.push"],
];
const OF_CONNECTION = [
  ...[
    "readyState",
    "upgrading",
    "protocol",
    "writeBuffer.push",
    "server.listenerCount",
    "transport.writable",
  ],
  ...["transport.supportsBinary", "transport.emit", "transport.listenerCount"],
];

/** Files that go past documentation, or past types, and why. */
const ALLOWED: Readonly<Record<string, string>> = {
  "stock.ts": "all of Socket.IO, Engine.IO and ws",
  "fan-out/direct-write.ts": "Node.js: a TCP connection's own handle",
  "fan-out/handshake-request.ts": "Node.js: what a request keeps when it is over",
  "fan-out/idle-connection.ts": "Node.js: where an emitter keeps its listeners",
  "cluster/engine-adoption.ts": "`clients` of Engine.IO is documented, and protected in its types",
  "cluster/packet-text.ts": "`_placeholder` is of Socket.IO's documented protocol",
};

const COMMENT = /\/\/.*|\/\*[\s\S]*?\*\//g;
/** A cast to another shape, and members that are named as hidden ones are. */
const PAST = [/\bas unknown as\b/, /\._[a-z]/, /\{[^{}]*\b_[a-z][^{}]*\} = /];

let server: FanOutServer;
let socket: Socket;
let client: ReturnType<typeof connect>;
beforeAll(async () => {
  server = await startServer({ connectionStateRecovery: {} });
  client = connect(server.url, { forceNew: true, transports: ["websocket"], auth: { name: "one" } });
  socket = await server.socket("one");
});
afterAll(async () => {
  client.disconnect();
  await server.close();
});

/** The same object, but for what is at a path. */
function without<T extends object>(holder: T, path: string): T {
  const [name = "", ...rest] = path.split(".");
  const value = rest.length > 0 ? without(Reflect.get(holder, name) as object, rest.join(".")) : undefined;
  return Object.create(holder, { [name]: { value } });
}

/** A socket of a server that nobody has looked at. */
function fresh(): Socket {
  const nsp = Object.create(socket.nsp, { server: { value: Object.create(socket.nsp.server) } });
  return Object.create(socket, { nsp: { value: nsp } });
}

const refusal = (act: () => void) => {
  try {
    act();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(HoldfastError);
    return error as HoldfastError;
  }
};

it("knows the packages that are installed, and names their versions where it does not", () => {
  expect(() => requireServer(server.io.sockets)).not.toThrow();
  expect(() => requireSocket(fresh())).not.toThrow();
  expect(connectionMisfit(connectionOf(socket))).toBeUndefined();
  const { message } = new HoldfastError("SOCKET_IO_UNKNOWN");
  const { resolve } = createRequire(import.meta.url);
  for (const name of ["socket.io", "engine.io"]) {
    const manifest = readFileSync(join(dirname(resolve(name)), "../package.json"), "utf8");
    const { version } = JSON.parse(manifest) as { version: string };
    expect(message).toContain(`${name} ${version.split(".").slice(0, 2).join(".")}`);
  }
});

it.each(OF_NAMESPACE)("refuses a server without %s", (path) => {
  const error = refusal(() => requireServer(without(server.io.sockets, path) as Namespace));
  expect(error?.code).toBe("SOCKET_IO_UNKNOWN");
  expect(error?.message).toContain(`a namespace is without ${path}`);
});

it.each([...OF_SOCKET, "pid"])("refuses a server whose first socket is without %s", (path) => {
  const error = refusal(() => requireSocket(without(fresh(), path)));
  expect(error?.code).toBe("SOCKET_IO_UNKNOWN");
  expect(error?.message).toContain(`a socket is without ${path}`);
});

it.each(OF_CONNECTION)("writes past no Engine.IO connection without %s", (path) => {
  const reason = connectionMisfit(without(connectionOf(socket), path));
  expect(reason).toBe(`an Engine.IO connection is without ${path}`);
});

it("refuses such a server when it is made, and such a socket before anything is written to it", async () => {
  const broker = openEmbeddedBroker();
  const holdfast = createHoldfast({ broker, node: "one" });
  class Mute {}
  expect(
    refusal(() => new Server({ ...holdfast.options, parser: { Encoder: Mute as never, Decoder } }))?.code,
  ).toBe("SOCKET_IO_UNKNOWN");
  const io = new Server(holdfast.options);
  const strange: Socket = Object.create(without(socket, "acks.set"), { nsp: { value: io.sockets } });
  io.sockets.sockets.set(socket.id, strange);
  const { adapter } = io.sockets;
  expect(refusal(() => void adapter.addAll(socket.id, new Set([socket.id])))?.code).toBe("SOCKET_IO_UNKNOWN");
  expect(Object.hasOwn(strange, "packet")).toBe(false);
  await holdfast.close();
  await broker.close();
});

it("goes past documentation in no other file", () => {
  const files = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" });
  const past = files.filter((file) => {
    if (!file.endsWith(".ts") || file.endsWith(".test.ts")) return false;
    const code = readFileSync(join(import.meta.dirname, file), "utf8").replaceAll(COMMENT, "");
    return PAST.some((pattern) => pattern.test(code));
  });
  expect(past.sort()).toEqual(Object.keys(ALLOWED).sort());
});
