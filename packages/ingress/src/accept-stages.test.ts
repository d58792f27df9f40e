import { Agent, type RequestOptions, request } from "node:https";
import { connect as connectTcp } from "node:net";
import { text } from "node:stream/consumers";
import { connect, type TLSSocket } from "node:tls";
import type { Certificate } from "@holdfast/routing";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { certificateFor } from "../test/certificates.ts";
import { type Address, RawClient, send, upgradeHead } from "../test/clients.ts";
import { LOAD_BALANCER, modelOf } from "../test/models.ts";
import { echo, type Pod, startPod } from "../test/pods.ts";
import { proxied } from "../test/proxy-headers.ts";
import { seededRandom } from "../test/random.ts";
import { cleanUp, type Served, serve } from "../test/serve.ts";
import type { IngressOptions } from "./options.ts";

let one: Certificate;
let other: Certificate;
beforeAll(async () => {
  one = await certificateFor(["one.example"], "default/one");
  other = await certificateFor(["other.example"], "default/other");
});
afterEach(cleanUp);

const modelWith = (...certificates: readonly Certificate[]) => {
  const model = modelOf();
  return {
    ...model,
    loadBalancers: model.loadBalancers.map((loadBalancer) =>
      certificates.length === 0 ? loadBalancer : { ...loadBalancer, certificates },
    ),
  };
};

/** Served without TLS, and with it at `tls`. */
async function serveTls(
  pods: readonly Pod[],
  { certificates = [one], ...options }: IngressOptions & { certificates?: readonly Certificate[] } = {},
): Promise<Served & { readonly tls: Address }> {
  const served = await serve(pods, { model: modelWith(...certificates), ...options });
  const tls = await served.ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0, tls: true });
  return { ...served, tls };
}

function ask(
  to: Address,
  options: RequestOptions & { readonly ALPNProtocols?: string[] } = {},
): Promise<{ body: string; name: string; headers: unknown }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...to, rejectUnauthorized: false, ...options }, (response) => {
      const name = (response.socket as TLSSocket).getPeerCertificate().subject.CN;
      text(response).then((body) => resolve({ body, name: String(name), headers: response.headers }), reject);
    });
    outgoing.on("error", reject).end();
  });
}

test("one load balancer is served with and without TLS, and its pods are told which it was", async () => {
  const pod = await startPod("web", {
    handle: ({ headers }, response) => response.end(headers["x-forwarded-proto"]),
  });
  const served = await serveTls([pod]);
  expect((await ask(served.tls)).body).toBe("https");
  expect((await send(served)).body).toBe("http");
  expect(served.ingress.status().listeners.map(({ tls, accepted }) => [tls, accepted])).toEqual([
    [false, 1],
    [true, 1],
  ]);
});

test("a pinned cookie that is secure where the connection is", async () => {
  const cookie = { name: "PIN", ttlSec: 0, path: "/", secure: "auto" } as const;
  const model = modelWith(one);
  const pinned = {
    loadBalancers: model.loadBalancers.map((loadBalancer) => ({
      ...loadBalancer,
      face: "holdfast" as const,
    })),
    backendServices: modelOf({ type: "PINNED_COOKIE", cookie }).backendServices,
  };
  const pod = await startPod("web");
  const served = await serve([pod], { model: pinned });
  const tls = await served.ingress.listen({ loadBalancer: LOAD_BALANCER, port: 0, tls: true });
  const cookieOf = (headers: unknown) => (headers as Record<string, string[]>)["set-cookie"]?.[0];
  expect(cookieOf((await ask(tls)).headers)).toMatch(/; Secure/);
  expect(cookieOf((await send(served)).headers)).not.toMatch(/Secure/);
});

test("WebSockets and large bodies go through TLS", async () => {
  const large = "x".repeat(3_000_000);
  const pod = await startPod("web", {
    upgrade: echo("web"),
    handle: (_incoming, response) => response.end(large),
  });
  const { tls } = await serveTls([pod]);
  expect((await ask(tls)).body).toBe(large);
  const socket = connect({ ...tls, rejectUnauthorized: false });
  let received = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    received += chunk;
  });
  socket.write(upgradeHead());
  await vi.waitFor(() => expect(received).toMatch(/web:$/));
  socket.write("hello");
  await vi.waitFor(() => expect(received).toMatch(/web:hello$/));
  socket.destroy();
});

test("an answer that a pod breaks off is a reset through TLS where the connection's end would make it whole", async () => {
  let breakOff = () => {};
  const pod = await startPod("web", {
    handle: ({ socket }, response) => {
      response.write("begun");
      breakOff = () => socket.resetAndDestroy();
    },
  });
  const { tls } = await serveTls([pod]);
  const client = connect({ ...tls, rejectUnauthorized: false });
  const end = new Promise((resolve) => {
    client.once("end", () => resolve("end"));
    client.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code));
  });
  let received = "";
  client.setEncoding("latin1").on("data", (chunk) => {
    received += chunk;
  });
  client.write("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
  await vi.waitFor(() => expect(received).toMatch(/begun/));
  breakOff();
  expect(await end).toBe("ECONNRESET");
  expect(received).toMatch(/\r\n\r\nbegun$/);
});

describe("a model with other certificates", () => {
  test("is what new connections see; open ones go on, under load, and no request fails", async () => {
    const pod = await startPod("web", { upgrade: echo("web") });
    const served = await serveTls([pod]);
    const agents = Array.from({ length: 5 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    const names: Set<string>[] = agents.map(() => new Set());
    let over = false;
    const load = agents.map(async (agent, index) => {
      while (!over) {
        const answer = await ask(served.tls, { agent });
        expect(answer.body).toBe("web");
        names[index]?.add(answer.name);
      }
    });
    await vi.waitFor(() => expect(names.every(({ size }) => size > 0)).toBe(true));
    for (const certificate of [other, one, other]) {
      served.ingress.apply(modelWith(certificate));
      expect((await ask(served.tls, { agent: false })).name).toBe(
        `${certificate.name.split("/")[1]}.example`,
      );
    }
    over = true;
    await Promise.all(load);
    for (const agent of agents) agent.destroy();
    // None had to connect anew.
    expect(names.map((seen) => [...seen])).toEqual(agents.map(() => ["one.example"]));
    expect(served.events.filter(({ type }) => type !== "request")).toEqual([]);
  });

  test("is refused when one is bad, and the last good ones are shown on", async () => {
    const served = await serveTls([await startPod("web")]);
    const bad = { ...other, privateKey: one.privateKey };
    expect(() => served.ingress.apply(modelWith(bad))).toThrowError(
      expect.objectContaining({
        code: "CERTIFICATE_INVALID",
        message: expect.stringContaining("default/other"),
      }),
    );
    expect((await ask(served.tls)).name).toBe("one.example");
  });

  test("resumes the sessions of an ingress with the same cookie keys", async () => {
    const cookieKeys = [{ id: "k1", secret: "x".repeat(32) }];
    const [first, second] = [
      await serveTls([await startPod("web")], { cookieKeys }),
      await serveTls([await startPod("web")], { cookieKeys }),
    ];
    const socket = connect({ ...first.tls, rejectUnauthorized: false });
    const session = await new Promise<Buffer>((resolve) => socket.once("session", resolve));
    socket.destroy();
    const again = connect({ ...second.tls, rejectUnauthorized: false, session });
    await new Promise((resolve) => again.once("secureConnect", resolve));
    expect(again.isSessionReused()).toBe(true);
    again.destroy();
  });
});

test("a client over its share is told so through TLS, and may vanish meanwhile", async () => {
  const served = await serveTls([await startPod("web")], { maxConnectionsPerClient: 1 });
  const first = connect({ ...served.tls, rejectUnauthorized: false });
  await new Promise((resolve) => first.once("secureConnect", resolve));
  await vi.waitFor(() => expect(served.ingress.status().listeners[1]?.open).toBe(1));
  for (let round = 0; round < 5; round++) {
    const vanishing = connect({ ...served.tls, rejectUnauthorized: false });
    vanishing.on("error", () => {}).once("secureConnect", () => vanishing.destroy());
    await new Promise((resolve) => vanishing.once("close", resolve));
  }
  const second = connect({ ...served.tls, rejectUnauthorized: false });
  let received = "";
  second.setEncoding("latin1").on("data", (chunk) => {
    received += chunk;
  });
  await vi.waitFor(() => expect(received).toMatch(/^HTTP\/1\.1 429 /));
  expect(served.events).toContainEqual(expect.objectContaining({ cause: "too-many-connections-of-client" }));
  first.destroy();
  second.destroy();
});

describe("a client that can't shake hands", () => {
  test("is turned away and told of, with the reason", async () => {
    const served = await serveTls([await startPod("web")]);
    await expect(ask(served.tls, { ALPNProtocols: ["h2"] })).rejects.toThrow();
    const plain = await RawClient.open(served.tls, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(plain.closed || plain.ended).toBe(true));
    const refused = { type: "refused", cause: "tls", status: 0, client: "127.0.0.1" };
    await vi.waitFor(() =>
      expect(served.events).toEqual([
        expect.objectContaining({ ...refused, detail: "ERR_SSL_NO_APPLICATION_PROTOCOL" }),
        expect.objectContaining({ ...refused, detail: "ERR_SSL_HTTP_REQUEST" }),
      ]),
    );
  });

  test("has its time, and one that leaves is no event", async () => {
    const served = await serveTls([await startPod("web")], { handshakeTimeoutMs: 1_000 });
    const leaving = await RawClient.open(served.tls);
    leaving.socket.resetAndDestroy();
    const silent = await RawClient.open(served.tls);
    await vi.waitFor(() => expect(silent.closed || silent.ended).toBe(true), 5_000);
    const detail = "ERR_TLS_HANDSHAKE_TIMEOUT";
    expect(served.events).toEqual([expect.objectContaining({ cause: "tls", detail })]);
    await vi.waitFor(() => expect(served.ingress.status().listeners[1]?.open).toBe(0));
  });

  test("without any certificate is everyone", async () => {
    const served = await serveTls([await startPod("web")], { certificates: [] });
    await expect(ask(served.tls)).rejects.toThrow();
    served.ingress.apply(modelWith(one));
    expect((await ask(served.tls)).body).toBe("web");
  });
});

test("hostile bytes before HTTP end nothing but their own connection", async () => {
  const random = seededRandom();
  const options = { proxyProtocol: true, handshakeTimeoutMs: 300, headersTimeoutMs: 300 };
  const served = await serveTls([await startPod("web")], options);
  const header = proxied("192.0.2.1", 1, "192.0.2.2", 2);
  // The beginning of a handshake: a record with a ClientHello that promises more than there is.
  const hello = Buffer.from("1603010200010001fc0303", "hex");
  const clients = await Promise.all(
    Array.from({ length: 80 }, async (_, index) => {
      const client = await RawClient.open(index % 2 === 0 ? served.tls : served);
      const noise = Buffer.from(Array.from({ length: random() % 400 }, () => random() & 0xff));
      const parts = [header, hello, noise].slice(random() % 3);
      for (const part of parts) client.socket.write(part.subarray(0, 1 + (random() % part.length || 0)));
      if (random() % 4 === 0) client.socket.resetAndDestroy();
      return client;
    }),
  );
  await vi.waitFor(() => expect(clients.every(({ closed, ended }) => closed || ended)).toBe(true), 8000);
  await vi.waitFor(
    () => expect(served.ingress.status().listeners.map(({ open }) => open)).toEqual([0, 0]),
    8000,
  );
  const client = await RawClient.open(served);
  client.socket.write(Buffer.concat([header, Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")]));
  await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\nweb$/));
});

test("closing waits for open requests over TLS, and ends idle connections", async () => {
  let finish = () => {};
  const pod = await startPod("web", {
    handle: (_incoming, response) => {
      finish = () => response.end("done");
    },
  });
  const served = await serveTls([pod]);
  const idle = connect({ ...served.tls, rejectUnauthorized: false });
  await new Promise((resolve) => idle.once("secureConnect", resolve));
  const answer = ask(served.tls);
  await vi.waitFor(() => expect(pod.seen).toHaveLength(1));
  const closed = served.ingress.close({ graceMs: 10_000 });
  const gone = new Promise((resolve) =>
    idle
      .resume()
      .on("error", () => {})
      .once("close", resolve),
  );
  finish();
  expect((await answer).body).toBe("done");
  await gone;
  await closed;
});

describe("behind a proxy that speaks the PROXY protocol", () => {
  const seesClient = () =>
    startPod("web", { handle: ({ headers }, response) => response.end(String(headers["x-forwarded-for"])) });

  test("the client is whom the header names, and its addresses are what pods are told", async () => {
    const served = await serveTls([await seesClient()], { proxyProtocol: true });
    const client = await RawClient.open(served);
    client.socket.write(
      Buffer.concat([
        proxied("192.0.2.1", 1234, "198.51.100.1", 80),
        Buffer.from("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
      ]),
    );
    await vi.waitFor(() => expect(client.received).toMatch(/192\.0\.2\.1, ?198\.51\.100\.1$/));
    expect(served.requests()).toMatchObject([{ client: "192.0.2.1" }]);
  });

  test("the header and the request may come in pieces, and further requests follow", async () => {
    const served = await serveTls([await startPod("web")], { proxyProtocol: true });
    const client = await RawClient.open(served, "PROXY TCP4 192.0.2.1 198.51.10");
    client.socket.setNoDelay(true);
    // So the pieces are read one by one; nothing is to be seen of the first two before the third.
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.socket.write("0.1 1234 80\r\nGET / HTT");
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.socket.write("P/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(client.received).toMatch(/\r\n\r\nweb$/));
    client.socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(client.received.match(/\r\n\r\nweb/g)).toHaveLength(2));
    expect(served.requests().map(({ client }) => client)).toEqual(["192.0.2.1", "192.0.2.1"]);
  });

  test("a TLS handshake follows the header", async () => {
    const served = await serveTls([await seesClient()], { proxyProtocol: true });
    const socket = connectTcp(served.tls);
    socket.write(proxied("2001:db8:0:0:0:0:0:1", 1234, "2001:db8:0:0:0:0:0:2", 443));
    const secured = connect({ socket, rejectUnauthorized: false });
    let received = "";
    secured.setEncoding("latin1").on("data", (chunk) => {
      received += chunk;
    });
    secured.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    await vi.waitFor(() => expect(received).toMatch(/2001:db8::1, ?2001:db8::2$/));
    secured.destroy();
  });

  test("a connection without the header is closed without a word, and told of", async () => {
    const served = await serveTls([await startPod("web")], { proxyProtocol: true, headersTimeoutMs: 100 });
    const bare = await RawClient.open(served, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await vi.waitFor(() => expect(bare.closed || bare.ended).toBe(true));
    const silent = await RawClient.open(served);
    await vi.waitFor(() => expect(silent.closed || silent.ended).toBe(true));
    expect([bare.received, silent.received]).toEqual(["", ""]);
    expect(served.events).toMatchObject([
      { type: "refused", cause: "proxy-header", detail: "malformed" },
      { type: "refused", cause: "proxy-header", detail: "timeout" },
    ]);
  });

  test("the header is believed of the trusted proxies alone, where there are such", async () => {
    const options = { proxyProtocol: true, trustedProxies: ["127.0.0.9"] };
    const served = await serveTls([await seesClient()], options);
    const untrusted = await RawClient.open(served, "PROXY TCP4 192.0.2.1 198.51.100.1 1234 80\r\n");
    await vi.waitFor(() => expect(untrusted.closed || untrusted.ended).toBe(true));
    expect(served.events).toMatchObject([
      { cause: "proxy-header", detail: "untrusted", client: "127.0.0.1" },
    ]);
    const { host, port } = served;
    const trusted = connectTcp({ host, port, localAddress: "127.0.0.9" });
    let received = "";
    trusted.setEncoding("latin1").on("data", (chunk) => {
      received += chunk;
    });
    trusted.write(
      "PROXY TCP4 192.0.2.1 198.51.100.1 1 80\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    await vi.waitFor(() => expect(received).toMatch(/192\.0\.2\.1, ?198/));
  });

  test("the proxy's own connections count as what they are", async () => {
    const served = await serveTls([await seesClient()], { proxyProtocol: true });
    const client = await RawClient.open(
      served,
      "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    await vi.waitFor(() => expect(client.received).toMatch(/127\.0\.0\.1, ?127\.0\.0\.1$/));
  });
});
