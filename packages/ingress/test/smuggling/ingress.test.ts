import { createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { RawClient } from "../clients.ts";
import { LOAD_BALANCER, loadBalancerOf, SERVICE, serviceOf } from "../models.ts";
import { startPod } from "../pods.ts";
import { cleanUp, type Served, serve } from "../serve.ts";
import { get, type ResponseCase } from "./case.ts";
import { FAMILIES } from "./families.ts";
import { responses } from "./responses.ts";

const model = {
  loadBalancers: [
    loadBalancerOf({ hosts: [], defaultBackend: SERVICE }, { face: "holdfast", name: LOAD_BALANCER }),
  ],
  backendServices: new Map([[SERVICE, serviceOf(SERVICE)]]),
} as const;

/** Ends a connection on which nothing was refused. */
const LAST = get(["Connection: close"], "/last");

describe("over a connection to an ingress", () => {
  let served: Served;
  /** What reached the pod whole, and all bytes that reached it. */
  let reached: string[] = [];
  let bytes = "";

  beforeAll(async () => {
    const pod = await startPod("web", {
      handle: (request, response) => {
        let body = "";
        request.setEncoding("latin1");
        request.on("data", (piece: string) => {
          body += piece;
        });
        request.on("end", () => {
          reached.push(`${request.method} ${request.url} ${body}`);
          response.end("ok");
        });
      },
    });
    pod.server.on("connection", (socket) => {
      socket.on("data", (piece) => {
        bytes += piece.toString("latin1");
      });
    });
    served = await serve([pod], { model });
  });

  afterAll(cleanUp);

  describe.each(FAMILIES)("what a client tries with %s", (_family, cases) => {
    const decided = cases.filter(({ reach, refused }) => reach !== undefined || refused !== undefined);
    test.each(decided)("$name", async ({ sent, reach = [], refused, closes, has, lacks }) => {
      reached = [];
      bytes = "";
      const goesOn = refused === undefined && closes === undefined;
      const client = await RawClient.open(served, goesOn ? sent + LAST : sent);
      await vi.waitFor(() => expect(client.ended).toBe(true), { interval: 2, timeout: 5_000 });
      client.socket.destroy();
      const expected = goesOn ? [...reach, "GET /last "] : reach;
      expect(reached).toEqual(expected);
      const statuses = [...client.received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) =>
        Number(status),
      );
      expect(statuses).toEqual([...expected.map(() => 200), ...(refused === undefined ? [] : [refused])]);
      if (has) expect(bytes).toMatch(has);
      if (lacks) expect(bytes.replace(/GET \/last .*/s, "")).not.toMatch(lacks);
    });
  });
});

describe("through an ingress, what a pod tries with its answer", () => {
  const servers = new Set<Server>();
  const sockets = new Set<Socket>();

  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
    sockets.clear();
    servers.clear();
    await cleanUp();
  });

  test.each(responses)("$name", async ({ sent, becomes = /^HTTP\/1\.1 502 /, lacks }: ResponseCase) => {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.once("data", () => socket.end(sent, "latin1"));
    });
    servers.add(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const served = await serve([], { model });
    served.ingress.setEndpoints(SERVICE, [{ address: "127.0.0.1", port, pod: "odd", healthy: true }]);
    const client = await RawClient.open(served, get(["Connection: close"]));
    await vi.waitFor(() => expect(client.ended).toBe(true), { interval: 2, timeout: 5_000 });
    client.socket.destroy();
    expect(client.received).toMatch(becomes);
    if (lacks) expect(client.received).not.toMatch(lacks);
  });
});
