import { spawn } from "node:child_process";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { type Answer, issuedCookie, RawClient, send } from "../../test/clients.ts";
import { modelOf, SERVICE } from "../../test/models.ts";
import { startPod } from "../../test/pods.ts";
import { cleanUp, serve } from "../../test/serve.ts";

const servers = new Set<Server>();

afterEach(async () => {
  await cleanUp();
  for (const server of servers) server.close();
  servers.clear();
});

const COOKIE = { type: "GENERATED_COOKIE", ttlSec: 0 } as const;

/** An endpoint that takes connections and does with their first bytes as told. */
async function endpointThat(react: (socket: Socket, connection: number) => void) {
  let connections = 0;
  const server = createServer((socket) => {
    const connection = connections++;
    socket.on("error", () => {});
    socket.on("data", () => react(socket, connection));
  });
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.9", resolve));
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  return {
    endpoint: { address: "127.0.0.9", port, pod: "odd", healthy: true },
    connections: () => connections,
  };
}

test("a pod killed under load costs no request but those it held", { timeout: 60_000 }, async () => {
  const pods = await Promise.all(
    [2, 3, 4].map((host) =>
      startPod(`web-${host}`, {
        address: `127.0.0.${host}`,
        handle: (request, response) => {
          request.resume();
          setTimeout(() => response.end(`web-${host}`), 5);
        },
      }),
    ),
  );
  const served = await serve(pods, { model: modelOf(COOKIE) });
  const [victim] = pods;
  if (!victim) throw new Error("no pod");
  const failures: { method: string; status: number }[] = [];
  const survivors = new Map<string, Set<string>>();
  let killedAt = Number.POSITIVE_INFINITY;
  let inFlight = 0;
  let inFlightAtDeath = 0;
  let answered = 0;
  const client = async (index: number) => {
    // Half of the clients post: such a request is not sent twice when its pod dies with it.
    const method = index % 2 === 0 ? "GET" : "POST";
    let cookie: string | undefined;
    for (let round = 0; round < 40; round++) {
      const at = performance.now();
      inFlight++;
      const headers = cookie === undefined ? {} : { Cookie: cookie };
      const answer: Answer = await send(served, { method, headers, ...(method === "POST" && { body: "x" }) });
      inFlight--;
      if (answer.status !== 200) failures.push({ method, status: answer.status });
      else if (at > killedAt) {
        const key = cookie ?? "";
        survivors.set(key, (survivors.get(key) ?? new Set()).add(answer.body));
      }
      cookie ??= issuedCookie(answer);
      if (++answered === 400) {
        inFlightAtDeath = inFlight;
        killedAt = performance.now();
        void victim.kill();
      }
    }
  };
  await Promise.all(Array.from({ length: 24 }, (_, index) => client(index)));
  expect(answered).toBe(24 * 40);
  expect(failures.length).toBeLessThanOrEqual(inFlightAtDeath);
  for (const { method } of failures) expect(method).toBe("POST");
  for (const bodies of survivors.values()) expect(bodies.size).toBe(1);
  expect([...survivors.values()].flatMap((bodies) => [...bodies])).not.toContain("web-2");
  // Whichever is met first: that it accepts no more, or that it reset several requests in a row.
  const cause = expect.stringMatching(/^ECONN(?:REFUSED|RESET)$/);
  expect(served.events).toContainEqual(
    expect.objectContaining({ type: "endpoint-down", pod: "web-2", cause }),
  );
});

test("a dead pod is asked once, then passed over, and its clients come back when it is healthy anew", async () => {
  const pods = [
    await startPod("web-0", { address: "127.0.0.2" }),
    await startPod("web-1", { address: "127.0.0.3" }),
  ];
  const served = await serve(pods, { model: modelOf(COOKIE), passiveDownMs: 60_000 });
  const first = await send(served);
  const headers = { Cookie: issuedCookie(first) ?? "" };
  const victim = pods.find(({ name }) => name === first.body);
  if (!victim) throw new Error("no pod");
  await victim.kill();
  for (let round = 0; round < 3; round++) {
    const answer = await send(served, { method: "POST", headers, body: "x" });
    expect(answer.status).toBe(200);
    expect(answer.body).not.toBe(first.body);
    expect(answer.headers["set-cookie"]).toBeUndefined();
  }
  expect(served.requests().map(({ reason, tries }) => [reason, tries])).toEqual([
    ["new", 1],
    ["failed-over", 2],
    ["failed-over", 1],
    ["failed-over", 1],
  ]);
  const { address, port } = victim.endpoint;
  await startPod(victim.name, { address, port });
  const members = (healthy: boolean) =>
    pods.map((pod) => (pod === victim ? { ...pod.endpoint, healthy } : pod.endpoint));
  served.ingress.setEndpoints(SERVICE, members(false));
  served.ingress.setEndpoints(SERVICE, members(true));
  expect((await send(served, { headers })).body).toBe(first.body);
});

test("a single pod that restarts is used as soon as it accepts again", async () => {
  // An address that no outgoing connection has, so that the port is still free when the pod is back.
  const address = "127.0.0.9";
  const pod = await startPod("web", { address });
  const served = await serve([pod], { passiveDownMs: 60_000 });
  await pod.kill();
  expect((await send(served)).status).toBe(502);
  await startPod("web", { address, port: pod.endpoint.port });
  expect((await send(served)).body).toBe("web");
  expect(served.events.at(-2)).toMatchObject({ type: "endpoint-up", cause: "connected" });
});

test("offers a request to no more endpoints than it may", async () => {
  const pods = await Promise.all([2, 3, 4, 5].map((host) => startPod("x", { address: `127.0.0.${host}` })));
  for (const pod of pods) await pod.kill();
  const served = await serve(pods, { maxTries: 3 });
  expect((await send(served)).status).toBe(502);
  expect(served.requests()).toMatchObject([{ outcome: "connect-failed", tries: 3 }]);
});

test("a request that had left is sent again only if doing it twice is harmless", async () => {
  const odd = await endpointThat((socket) => socket.resetAndDestroy());
  const good = await startPod("good");
  const served = await serve([], { maxResets: 1000 });
  // By turns one of two requests meets the odd endpoint first.
  served.ingress.setEndpoints(SERVICE, [odd.endpoint, good.endpoint]);
  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    for (let round = 0; round < 2; round++) expect((await send(served, { method })).status).toBe(200);
  }
  const met = odd.connections();
  expect(met).toBeGreaterThanOrEqual(3);
  for (const sent of [{ method: "POST", body: "x" }, { method: "DELETE" }, { method: "GET", body: "x" }]) {
    const headers = sent.body === undefined ? {} : { "Content-Length": "1" };
    const statuses = [
      (await send(served, { ...sent, headers })).status,
      (await send(served, { ...sent, headers })).status,
    ];
    expect(statuses.sort()).toEqual([200, 502]);
  }
  expect(odd.connections()).toBe(met + 3);
});

test("a POST is not lost on a kept connection whose end has come, but was not read yet", async () => {
  const pod = await startPod("web");
  const served = await serve([pod]);
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
  const client = await RawClient.open(served, post);
  const answers = () => client.received.split("HTTP/1.1 ").slice(1);
  for (let round = 1; round <= 30; round++) {
    await vi.waitFor(() => expect(answers()).toHaveLength(round), { interval: 1 });
    await vi.waitFor(() => expect(served.ingress.status().endpoints[0]?.open).toBe(0), { interval: 1 });
    // In one turn: the ingress is told of the request first, while the connection's end is there to be read.
    client.socket.write(post);
    for (const connection of pod.connections) connection.destroy();
  }
  await vi.waitFor(() => expect(answers()).toHaveLength(31));
  expect(answers().filter((answer) => !answer.startsWith("200"))).toEqual([]);
});

test.each([0, 30])(
  "a POST goes to another pod if the one that was chosen leaves before anything was sent (draining: %d s)",
  async (drainingTimeoutSec) => {
    const old = await startPod("old", { address: "127.0.0.2" });
    const next = await startPod("new", { address: "127.0.0.3" });
    const served = await serve([old], { model: modelOf({ type: "NONE" }, { drainingTimeoutSec }) });
    const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    const client = await RawClient.open(served, post);
    await vi.waitFor(() => expect(client.received).toMatch(/old$/), { interval: 1 });
    const open = () => served.ingress.status().endpoints[0]?.open;
    await vi.waitFor(() => expect(open()).toBe(0), { interval: 1 });
    client.socket.write(post);
    // From the choice to the sending the system is asked once more what has come.
    while (open() === 0) await nextTurn();
    served.ingress.setEndpoints(SERVICE, [next.endpoint]);
    await vi.waitFor(() => expect(client.received).toMatch(/new$/), { interval: 1 });
    expect(old.seen).toHaveLength(1);
    expect(served.requests().at(-1)).toMatchObject({ pod: "new", tries: 1, outcome: "answered" });
  },
);

test("an endpoint that ends connections instead of answering is passed over until its time is up", async () => {
  let broken = true;
  const odd = await endpointThat((socket) => {
    if (broken) socket.resetAndDestroy();
    else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nodd");
  });
  const good = await startPod("good");
  const served = await serve([], { maxResets: 2, passiveDownMs: 300 });
  served.ingress.setEndpoints(SERVICE, [odd.endpoint, good.endpoint]);
  const downs = () => served.events.filter(({ type }) => type === "endpoint-down");
  while (downs().length === 0) expect((await send(served)).status).toBe(200);
  expect(odd.connections()).toBe(2);
  expect(downs()).toMatchObject([{ pod: "odd", cause: "ECONNRESET", ms: 300 }]);
  broken = false;
  await vi.waitFor(async () => expect((await send(served)).body).toBe("odd"), 10_000);
});

test("a request is not sent again once a byte of an answer has come", async () => {
  const odd = await endpointThat((socket) => {
    socket.write("HTTP/1.1 200 O", () => socket.destroy());
  });
  const served = await serve([]);
  served.ingress.setEndpoints(SERVICE, [odd.endpoint]);
  expect((await send(served)).status).toBe(502);
  expect(odd.connections()).toBe(1);
});

test("an idle connection that the pod closes under a request does not cost the client its pod", async () => {
  // Answers once on each connection, and closes it on the second request, as a pod whose idle time is over does.
  const answered = new WeakSet<Socket>();
  const odd = await endpointThat((socket) => {
    if (answered.has(socket)) socket.resetAndDestroy();
    else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nodd");
    answered.add(socket);
  });
  const other = await startPod("other");
  const served = await serve([], { model: modelOf(COOKIE) });
  served.ingress.setEndpoints(SERVICE, [odd.endpoint, other.endpoint]);
  let first = await send(served);
  if (first.body !== "odd") first = await send(served);
  const headers = { Cookie: issuedCookie(first) ?? "" };
  for (let round = 0; round < 4; round++) expect((await send(served, { headers })).body).toBe("odd");
  expect(served.events.filter(({ type }) => type !== "request")).toEqual([]);
});

test("an endpoint that does not accept in time is passed over", async () => {
  const good = await startPod("good");
  const served = await serve([], { model: modelOf(COOKIE), connectTimeoutMs: 500 });
  // A full queue of connections that nobody accepts leaves a new one waiting, as a host that is gone does.
  const stopped = spawn(process.execPath, [
    "-e",
    "const s=require('net').createServer().listen({port:0,host:'127.0.0.8',backlog:1},()=>console.log(s.address().port))",
  ]);
  const port = await new Promise<number>((resolve) =>
    stopped.stdout.once("data", (text) => resolve(Number(text))),
  );
  stopped.kill("SIGSTOP");
  const fillers = Array.from({ length: 8 }, () => connect(port, "127.0.0.8").on("error", () => {}));
  try {
    served.ingress.setEndpoints(SERVICE, [
      { address: "127.0.0.8", port, pod: "stopped", healthy: true },
      good.endpoint,
    ]);
    await vi.waitFor(async () => {
      expect((await send(served)).body).toBe("good");
      expect(served.events).toContainEqual(
        expect.objectContaining({ type: "endpoint-down", pod: "stopped", cause: "ETIMEDOUT" }),
      );
    }, 5000);
  } finally {
    for (const filler of fillers) filler.destroy();
    stopped.kill("SIGKILL");
  }
});
