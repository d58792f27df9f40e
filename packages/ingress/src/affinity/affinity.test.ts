import type { Affinity, Face, RoutingModel } from "@holdfast/routing";
import { afterEach, describe, expect, test, vi } from "vitest";
import { COOKIE_KEY, pinned, returned } from "../../test/affinity.ts";
import { type Answer, RawClient, send, upgradeHead } from "../../test/clients.ts";
import { loadBalancerOf, modelOf, SERVICE, serviceOf } from "../../test/models.ts";
import { echo, type Pod, startPod } from "../../test/pods.ts";
import { cleanUp, type Served, serve } from "../../test/serve.ts";

afterEach(cleanUp);

const CLIENTS = 24;

interface Case {
  readonly name: string;
  readonly face: Face;
  readonly affinity: Affinity;
  readonly cookie: RegExp;
}

const FACES: readonly Case[] = [
  {
    name: "gce",
    face: "gce",
    affinity: { type: "GENERATED_COOKIE", ttlSec: 0 },
    cookie: /^GCLB=[\w-]{4,18}; path=\/; HttpOnly$/,
  },
  {
    name: "gce-envoy",
    face: "gce-envoy",
    affinity: { type: "GENERATED_COOKIE", ttlSec: 3600 },
    cookie: /^GCILB="[0-9a-f]{16}"; Max-Age=3600; Path=\/; HttpOnly$/,
  },
  {
    name: "holdfast",
    face: "holdfast",
    affinity: pinned({ ttlSec: 3600, sameSite: "Lax" }),
    cookie:
      /^holdfast-[\w-]{6}=v1\.k1\.[\w-]{11}\.[0-9a-z]+\.[\w-]{22}; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/,
  },
];

function modelFor({ face, affinity }: Case): RoutingModel {
  const loadBalancer = loadBalancerOf(
    { hosts: [], defaultBackend: SERVICE },
    { face, affinities: new Map([[SERVICE, affinity]]) },
  );
  return { ...modelOf(), loadBalancers: [loadBalancer] };
}

const serveAs = (given: Case, pods: readonly Pod[]) =>
  serve(pods, { model: modelFor(given), cookieKeys: [COOKIE_KEY] });

const podsOf = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, index) => startPod(`web-${index}`)));

const setPods = (served: Served, pods: readonly Pod[], unhealthy?: string) =>
  served.ingress.setEndpoints(
    SERVICE,
    pods.map(({ endpoint }) => ({ ...endpoint, healthy: endpoint.pod !== unhealthy })),
  );

/** Clients that have come once, and what each says when it comes again. */
async function clientsOf(served: Served) {
  const answers: Answer[] = [];
  for (let client = 0; client < CLIENTS; client++) answers.push(await send(served));
  const first = answers.map(({ body }) => body);
  const cookies = answers.map((answer) => returned(answer.headers["set-cookie"]?.[0]));
  const again = (to: Served) => Promise.all(cookies.map((Cookie) => send(to, { headers: { Cookie } })));
  return { first, again };
}

const bodies = (answers: readonly Answer[]) => answers.map(({ body }) => body);
const issued = (answers: readonly Answer[]) => answers.filter(({ headers }) => headers["set-cookie"]);

describe.each(FACES)("as $name", (given) => {
  test("issues its cookie with a first answer, an error and the answer to an upgrade alike", async () => {
    const pod = await startPod("web-0", {
      handle: (request, response) => response.writeHead(request.url === "/" ? 200 : 404).end(),
      upgrade: echo("web-0"),
    });
    const served = await serveAs(given, [pod]);
    for (const path of ["/", "/missing"]) {
      const answer = await send(served, { path });
      expect(answer.headers["set-cookie"]).toEqual([expect.stringMatching(given.cookie)]);
    }
    const upgraded = await RawClient.open(served, upgradeHead());
    await vi.waitFor(() => expect(upgraded.received).toMatch(/web-0:$/));
    const cookie = /^set-cookie: (.*)\r$/im.exec(upgraded.received)?.[1];
    expect(cookie).toMatch(given.cookie);
  });

  test("keeps every client, also over a restart of the ingress", async () => {
    const pods = await podsOf(3);
    const served = await serveAs(given, pods);
    const { first, again } = await clientsOf(served);
    const answers = await again(served);
    expect(bodies(answers)).toEqual(first);
    expect(issued(answers)).toEqual([]);
    await served.ingress.close();
    const restarted = await serveAs(given, [...pods].reverse());
    expect(bodies(await again(restarted))).toEqual(first);
  });

  test("has the clients of an unhealthy pod back when it has recovered", async () => {
    const pods = await podsOf(3);
    const served = await serveAs(given, pods);
    const { first, again } = await clientsOf(served);
    setPods(served, pods, "web-1");
    const away = await again(served);
    expect(issued(away)).toEqual([]);
    bodies(away).forEach((body, client) => {
      if (first[client] === "web-1") expect(body).not.toBe("web-1");
      else expect(body).toBe(first[client]);
    });
    setPods(served, pods);
    expect(bodies(await again(served))).toEqual(first);
  });

  test("moves nobody to a pod that is added, if it pins, and few if it hashes", async () => {
    const pods = await podsOf(3);
    const served = await serveAs(given, pods);
    const { first, again } = await clientsOf(served);
    setPods(served, [...pods, await startPod("web-3")]);
    const answers = await again(served);
    const moved = bodies(answers).filter((body, client) => body !== first[client]).length;
    // A quarter is 6 of 24, with a standard deviation of 2.
    expect(moved).toBeLessThan(given.face === "holdfast" ? 1 : 17);
    expect(issued(answers)).toEqual([]);
  });

  test("sends the clients of a removed pod elsewhere, with a new cookie only where it pins", async () => {
    const pods = await podsOf(3);
    const served = await serveAs(given, pods);
    const { first, again } = await clientsOf(served);
    setPods(
      served,
      pods.filter(({ name }) => name !== "web-1"),
    );
    const answers = await again(served);
    expect(bodies(answers)).not.toContain("web-1");
    const homeless = first.filter((body) => body === "web-1").length;
    expect(issued(answers).length).toBe(given.face === "holdfast" ? homeless : 0);
  });
});

test("a client that goes to and fro between two services of a host keeps its pod of each", async () => {
  const api = "default/api:80";
  const hosts = [{ host: "*", paths: [{ path: "/api/*", backend: api }] }];
  const served = await serve(await podsOf(3), {
    model: {
      loadBalancers: [
        loadBalancerOf(
          { hosts, defaultBackend: SERVICE },
          {
            face: "holdfast",
            affinities: new Map([
              [SERVICE, pinned()],
              [api, pinned()],
            ]),
          },
        ),
      ],
      backendServices: new Map([SERVICE, api].map((id) => [id, serviceOf(id)])),
    },
  });
  const others = await Promise.all([3, 4, 5].map((index) => startPod(`api-${index}`)));
  served.ingress.setEndpoints(
    api,
    others.map(({ endpoint }) => endpoint),
  );
  const jar = new Map<string, string>();
  const visit = async (path: string) => {
    const answer = await send(served, { path, headers: { Cookie: [...jar.values()].join("; ") } });
    for (const cookie of answer.headers["set-cookie"] ?? [])
      jar.set(cookie.split("=")[0] ?? "", returned(cookie));
    return answer.body;
  };
  const [web, own] = [await visit("/"), await visit("/api/x")];
  for (let round = 0; round < 10; round++)
    expect([await visit("/"), await visit("/api/x")]).toEqual([web, own]);
  expect(jar.size).toBe(2);
});

test("a pinned cookie is not issued on a CORS preflight, which GKE's is", async () => {
  const pods = await podsOf(2);
  const preflight = {
    method: "OPTIONS",
    headers: { Origin: "https://example.com", "Access-Control-Request-Method": "POST" },
  };
  for (const given of FACES) {
    const served = await serveAs(given, pods);
    const answer = await send(served, preflight);
    expect(issued([answer]).length).toBe(given.face === "holdfast" ? 0 : 1);
    expect(issued([await send(served, { method: "OPTIONS" })]).length).toBe(1);
  }
});

test("a load balancer's own affinity goes before the backend service's", async () => {
  const model = modelOf({ type: "GENERATED_COOKIE", ttlSec: 0 });
  const own = loadBalancerOf(
    { hosts: [], defaultBackend: SERVICE },
    { name: "default/own", face: "holdfast", affinities: new Map([[SERVICE, pinned()]]) },
  );
  const served = await serve(await podsOf(2), {
    model: { ...model, loadBalancers: [...model.loadBalancers, own] },
  });
  const other = await served.ingress.listen({ loadBalancer: "default/own", port: 0 });
  expect((await send(served)).headers["set-cookie"]?.[0]).toMatch(/^GCLB=/);
  expect((await send(other)).headers["set-cookie"]?.[0]).toMatch(/^holdfast-[\w-]{6}=/);
});

test("a pinned cookie that can't be written refuses the model, and the one before is served on", async () => {
  const served = await serve(await podsOf(1));
  const bad = modelFor({ ...(FACES[2] as Case), affinity: pinned({ name: "a;b" }) });
  expect(() => served.ingress.apply(bad)).toThrowError(expect.objectContaining({ code: "MODEL_INVALID" }));
  expect((await send(served)).body).toBe("web-0");
});
