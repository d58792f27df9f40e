import { createServer, type Server as HttpServer, request as httpRequest } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { text } from "node:stream/consumers";
import { Ingress, type IngressEvent, type IngressOptions } from "@holdfast/ingress";
import type { Affinity, Endpoint } from "@holdfast/routing";
import { ownedSessionIds } from "@holdfast/socketio";
import { Server } from "socket.io";
import { type Socket as Client, io as connect } from "socket.io-client";
import { afterEach, describe, expect, test, vi } from "vitest";
import { LOAD_BALANCER, loadBalancerOf, modelOf, SERVICE } from "../packages/ingress/test/models.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Pod {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** What its Engine.IO refused: the texts of the refusals. */
  readonly refused: string[];
  /** Ends as SIGKILL would. */
  kill(): Promise<void>;
}

/** Session ids that name their node, or Socket.IO's own. */
type Ids = "owned" | "foreign";

let nextHost = 20;

async function startPod(name: string, ids: Ids): Promise<Pod> {
  const http = createServer();
  const io = new Server(http, { allowEIO3: true, pingInterval: 2_000 });
  if (ids === "owned") io.engine.generateId = ownedSessionIds(name);
  const refused: string[] = [];
  io.engine.on("connection_error", ({ message }: { message: string }) => refused.push(message));
  io.on("connection", (socket) => socket.on("who", (answer: (name: string) => void) => answer(name)));
  const connections = track(http);
  const address = `127.0.0.${nextHost++}`;
  await new Promise<void>((resolve) => http.listen(0, address, resolve));
  const kill = async () => {
    for (const connection of connections) connection.destroy();
    await io.close();
  };
  closers.push(kill);
  const { port } = http.address() as AddressInfo;
  return { name, endpoint: { address, port, pod: name, healthy: true }, refused, kill };
}

function track(http: HttpServer): Set<Socket> {
  const connections = new Set<Socket>();
  http.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  return connections;
}

const startPods = (count: number, ids: Ids) =>
  Promise.all(Array.from({ length: count }, (_, index) => startPod(`web-${index}`, ids)));

async function startIngress(
  pods: readonly Pod[],
  {
    affinity = { type: "NONE" },
    sessionAffinity = true,
    ...options
  }: IngressOptions & {
    affinity?: Affinity;
    sessionAffinity?: boolean;
  } = {},
) {
  const events: IngressEvent[] = [];
  const ingress = new Ingress({ onEvent: (event) => events.push(event), ...options });
  closers.push(() => ingress.close());
  ingress.apply({
    ...modelOf(affinity),
    loadBalancers: [
      loadBalancerOf({ hosts: [], defaultBackend: SERVICE }, { face: "holdfast", sessionAffinity }),
    ],
  });
  const setPods = (members: readonly Pod[]) =>
    ingress.setEndpoints(
      SERVICE,
      members.map(({ endpoint }) => endpoint),
    );
  setPods(pods);
  const { host, port } = await ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0 });
  return { ingress, events, setPods, url: `http://${host}:${port}` };
}

/** Clients as in a page whose cookies are blocked: each knows its session id, and nothing else. */
function startClients(url: string, count: number, transports: readonly string[]) {
  const errors: string[] = [];
  const clients = Array.from({ length: count }, () => {
    const client = connect(url, { transports: [...transports], forceNew: true, reconnectionDelay: 50 });
    client.on("connect_error", ({ message }) => errors.push(message));
    client.on("disconnect", (reason) => errors.push(reason));
    closers.push(() => client.close());
    return client;
  });
  return { clients, errors };
}

const ask = (client: Client): Promise<string> => client.timeout(30_000).emitWithAck("who");

describe.each(["owned", "foreign"] as const)("with %s session ids", (ids) => {
  test("50 clients that poll without cookies never meet an unknown session", async () => {
    const pods = await startPods(4, ids);
    const { url, events } = await startIngress(pods);
    const { clients, errors } = startClients(url, 50, ["polling"]);
    const first = await Promise.all(clients.map(ask));
    for (let round = 0; round < 2; round++) expect(await Promise.all(clients.map(ask))).toEqual(first);
    expect(errors).toEqual([]);
    expect(pods.flatMap(({ refused }) => refused)).toEqual([]);
    expect(new Set(first).size).toBe(4);
    expect(events).toContainEqual(expect.objectContaining({ type: "request", reason: "session" }));
  });

  test("clients that upgrade keep their session", async () => {
    const pods = await startPods(4, ids);
    const { url } = await startIngress(pods);
    const { clients, errors } = startClients(url, 12, ["polling", "websocket"]);
    const first = await Promise.all(clients.map(ask));
    await vi.waitFor(
      () => {
        for (const client of clients) expect(client.io.engine.transport.name).toBe("websocket");
      },
      { timeout: 10_000 },
    );
    expect(await Promise.all(clients.map(ask))).toEqual(first);
    expect(errors).toEqual([]);
    expect(pods.flatMap(({ refused }) => refused)).toEqual([]);
  });

  test("sessions stay where they are while pods are added and others are removed", async () => {
    const pods = await startPods(3, ids);
    const { url, setPods } = await startIngress(pods);
    const { clients } = startClients(url, 24, ["polling"]);
    const first = await Promise.all(clients.map(ask));
    const added = await startPod("web-3", ids);
    setPods([...pods, added]);
    expect(await Promise.all(clients.map(ask))).toEqual(first);
    const [gone, ...left] = pods;
    setPods([...left, added]);
    const stayed = clients.filter((_, index) => first[index] !== gone?.name);
    expect(await Promise.all(stayed.map(ask))).toEqual(first.filter((name) => name !== gone?.name));
    // The others begin a new session; only they met an unknown one.
    const moved = clients.filter((_, index) => first[index] === gone?.name);
    for (const client of moved)
      await vi.waitFor(async () => expect(await ask(client)).not.toBe(gone?.name), 15_000);
    expect(pods.concat(added).flatMap(({ refused }) => refused).length).toBeLessThanOrEqual(3 * moved.length);
  });

  test("the clients of a pod that is killed begin anew elsewhere, and no other's do", async () => {
    const pods = await startPods(3, ids);
    const { url } = await startIngress(pods);
    const { clients } = startClients(url, 24, ["polling"]);
    const first = await Promise.all(clients.map(ask));
    const [victim] = pods;
    await victim?.kill();
    for (let index = 0; index < clients.length; index++) {
      const client = clients[index] as Client;
      if (first[index] !== victim?.name) expect(await ask(client)).toBe(first[index]);
      else await vi.waitFor(async () => expect(await ask(client)).not.toBe(victim?.name), 15_000);
    }
  });

  test("an old client's session (protocol 3) is followed, whatever the cookie says", async () => {
    const pods = await startPods(4, ids);
    const { url } = await startIngress(pods, { affinity: { type: "GENERATED_COOKIE", ttlSec: 0 } });
    for (let client = 0; client < 12; client++) {
      const opened = await fetchText(`${url}/socket.io/?EIO=3&transport=polling`);
      const sid = /^\d+:0\{"sid":"([^"]+)"/.exec(opened.body)?.[1];
      expect(sid).toBeDefined();
      const other = await fetchText(`${url}/socket.io/?EIO=3&transport=polling`);
      const polled = await fetchText(`${url}/socket.io/?EIO=3&transport=polling&sid=${sid}`, other.cookie);
      expect(polled).toMatchObject({ status: 200, cookie: undefined });
    }
    expect(pods.flatMap(({ refused }) => refused)).toEqual([]);
  });
});

test("without session affinity such clients do meet unknown sessions", async () => {
  const pods = await startPods(4, "owned");
  const { url } = await startIngress(pods, { sessionAffinity: false });
  const { errors } = startClients(url, 4, ["polling"]);
  await vi.waitFor(() => expect(errors.length).toBeGreaterThan(0), 10_000);
  expect(pods.flatMap(({ refused }) => refused)).toContain("Session ID unknown");
});

test("a second ingress asks the first for sessions that it did not see begin", async () => {
  const pods = await startPods(4, "foreign");
  const first = await startIngress(pods);
  const askOthers = vi.fn(async (service: string, sid: string) => first.ingress.ownerOfSession(service, sid));
  const second = await startIngress(pods, { askOthers });
  for (let client = 0; client < 12; client++) {
    const opened = await fetchText(`${first.url}/socket.io/?EIO=4&transport=polling`);
    const sid = /^0\{"sid":"([^"]+)"/.exec(opened.body)?.[1];
    for (let round = 0; round < 2; round++) {
      const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
      expect((await fetchText(second.url + path, undefined, "40")).status).toBe(200);
    }
  }
  expect(askOthers).toHaveBeenCalledTimes(12);
  expect(pods.flatMap(({ refused }) => refused)).toEqual([]);
});

/** One request; a POST where there is a body. */
function fetchText(
  url: string,
  cookie?: string,
  body?: string,
): Promise<{ status: number; body: string; cookie: string | undefined }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      url,
      {
        agent: false,
        method: body === undefined ? "GET" : "POST",
        headers: {
          ...(cookie !== undefined && { Cookie: cookie }),
          ...(body !== undefined && { "Content-Length": String(body.length) }),
        },
      },
      (response) => {
        const { statusCode: status = 0, headers } = response;
        const issued = headers["set-cookie"]?.[0]?.split(";")[0];
        text(response).then((answer) => resolve({ status, body: answer, cookie: issued }), reject);
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}
