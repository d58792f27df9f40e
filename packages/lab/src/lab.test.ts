import { type ChildProcess, spawn } from "node:child_process";
import type { Server } from "node:net";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { backendConfig, deployment, ingress, service } from "../test/objects.ts";
import { isRunning, request } from "../test/processes.ts";
import type { LabError } from "./errors.ts";
import type { LabEvent } from "./events.ts";
import { type Lab, startLab } from "./lab.ts";
import type { LabOptions } from "./options.ts";
import { claimPort } from "./port-probe.ts";

const wait = { timeout: 10_000, interval: 10 };
const closing: (() => unknown)[] = [];
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

async function start(given: Partial<LabOptions>): Promise<{ lab: Lab; events: LabEvent[]; url: string }> {
  const events: LabEvent[] = [];
  const lab = await startLab({ objects: [], port: 0, onEvent: (event) => events.push(event), ...given });
  closing.push(() => lab.close());
  const [listener] = lab.listeners;
  return { lab, events, url: `http://${listener?.host}:${listener?.port}/` };
}

/** The first post's four objects, with another affinity where that is asked for. */
function stickySystem(affinity = "GENERATED_COOKIE") {
  const container = { ports: [{ containerPort: 9376 }] };
  return [
    deployment("web", { replicas: 2, container }),
    backendConfig("web", affinity),
    service("web", 9376, "web"),
    ingress("web", "web"),
  ];
}

/** A server as people write it: it knows nothing of pods, and listens on all addresses. */
const UNMODIFIED = `${process.execPath} -e '
  require("node:http").createServer((q, r) => r.end(process.env.POD_NAME)).listen(3000)'`;

/** A free port whose next one is taken. Below the ports that the system gives out, so that nobody else takes them. */
async function blockedNeighbour(): Promise<{ port: number; blocker: Server }> {
  for (let port = 15_000; port < 19_000; port += 2) {
    const [own, blocker] = await Promise.all([
      claimPort("127.0.0.1", port),
      claimPort("127.0.0.1", port + 1),
    ]);
    if (typeof own !== "string") await new Promise((resolve) => own.close(resolve));
    if (typeof blocker === "string") continue;
    if (typeof own !== "string") return { port, blocker };
    blocker.close();
  }
  throw new Error("no two free ports side by side");
}

async function podsAnswering(url: string, requests: number, headers?: Record<string, string>) {
  const answers = await Promise.all(Array.from({ length: requests }, () => request(url, headers)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  return new Map(
    Object.entries(Object.groupBy(answers, ({ body }) => body)).map(([pod, of = []]) => [pod, of.length]),
  );
}

describe("affinity through the ingress", () => {
  test("a returned cookie leads to one pod, and to the other one when that is killed", async () => {
    const { lab, url } = await start({ objects: stickySystem() });
    const { cookie, body: first } = await request(url);
    expect(cookie).toBeDefined();
    const headers = { cookie: `GCLB=${cookie}` };
    expect(await podsAnswering(url, 50, headers)).toEqual(new Map([[first, 50]]));
    const victim = lab.pods().find(({ name }) => name === first);
    process.kill(victim?.pid ?? 0, "SIGKILL");
    await vi.waitFor(() => expect(lab.pods().filter(({ ready }) => ready)).toHaveLength(1), wait);
    const [survivor] = await podsAnswering(url, 10, headers);
    expect(survivor?.[0]).not.toBe(first);
    await vi.waitFor(() => expect(lab.pods().filter(({ ready }) => ready)).toHaveLength(2), wait);
    expect(await podsAnswering(url, 10, headers)).toEqual(new Map([[first, 10]]));
  });

  test("without a cookie both pods answer", async () => {
    const { url } = await start({ objects: stickySystem() });
    expect((await podsAnswering(url, 100)).size).toBe(2);
  });

  test("CLIENT_IP keeps a client on its pod without a cookie", async () => {
    const { url } = await start({ objects: stickySystem("CLIENT_IP") });
    expect((await podsAnswering(url, 50)).size).toBe(1);
  });
});

describe("pods", () => {
  test("are named and addressed like Kubernetes' pods, and listen on one and the same port", async () => {
    const { lab } = await start({ objects: stickySystem() });
    const pods = lab.pods();
    expect(pods).toHaveLength(2);
    for (const pod of pods) {
      expect(pod.name).toMatch(/^web-[a-z0-9]{10}-[a-z0-9]{5}$/);
      expect(pod).toMatchObject({
        deployment: "web",
        namespace: "default",
        port: 9376,
        ready: true,
        restarts: 0,
      });
    }
    expect(new Set(pods.map(({ address }) => address)).size).toBe(2);
    expect(new Set(pods.map(({ name }) => name.slice(0, -5))).size).toBe(1);
  });

  test.each(["addresses", "ports"] as const)(
    "run a server unmodified that listens on all addresses, twice (podNetwork: %s)",
    async (podNetwork) => {
      const container = { image: "acme/chat:1", ports: [{ containerPort: 3000 }] };
      const objects = [
        deployment("web", { replicas: 2, container }),
        service("web", 3000),
        ingress("web", "web"),
      ];
      const { lab, url } = await start({
        objects,
        images: { "acme/chat": UNMODIFIED },
        podNetwork,
      });
      const names = lab.pods().map(({ name }) => name);
      expect([...(await podsAnswering(url, 20)).keys()].sort()).toEqual(names.sort());
    },
  );

  test("have ports of their own on 127.0.0.1 where that is the only address", async () => {
    const { lab, url } = await start({ objects: stickySystem("NONE"), podNetwork: "ports" });
    const pods = lab.pods();
    expect(pods.map(({ address }) => address)).toEqual(["127.0.0.1", "127.0.0.1"]);
    expect(new Set(pods.map(({ port }) => port)).size).toBe(2);
    expect((await podsAnswering(url, 20)).size).toBe(2);
  });

  test("that do not get ready in time are reported, and run on", async () => {
    const container = { image: "idle", ports: [{ containerPort: 3000 }] };
    const { lab, events } = await start({
      objects: [deployment("idle", { container })],
      images: { idle: "sleep 600" },
      readyTimeoutMs: 300,
    });
    expect(events).toContainEqual(expect.objectContaining({ type: "pod", state: "late", waitedMs: 300 }));
    await vi.waitFor(
      () => expect(lab.pods()).toMatchObject([{ ready: false, pid: expect.any(Number) }]),
      wait,
    );
  });
});

describe("health checks", () => {
  /** Answers 404 to its health check, until it is asked for /mend. */
  const SICK = `${process.execPath} -e '
    let status = 404;
    require("node:http").createServer((q, r) => {
      if (q.url === "/mend") status = 200;
      r.statusCode = status;
      r.end(process.env.POD_NAME);
    }).listen(3000)'`;
  const container = { image: "acme/chat:1", ports: [{ containerPort: 3000 }] };
  const objects = [deployment("web", { container }), service("web", 3000), ingress("web", "web")];
  const states = (events: readonly LabEvent[]) =>
    events.flatMap((event) => (event.type === "pod" ? [event.state] : []));

  test("keep requests from a pod that fails them, and say why, until it is well", async () => {
    const { lab, events, url } = await start({ objects, images: { "acme/chat": SICK } });
    const unhealthy = { backendService: "default/web:80", cause: "GET / answered 404, want 200" };
    expect(lab.pods()).toMatchObject([{ ready: false, unhealthy }]);
    expect(states(events)).toEqual(["started", "unhealthy"]);
    expect((await request(url)).status).toBe(502);
    const [pod] = lab.pods();
    await request(`http://${pod?.address}:${pod?.port}/mend`);
    await vi.waitFor(() => expect(states(events)).toEqual(["started", "unhealthy", "ready"]), wait);
    expect(lab.pods()[0]).not.toHaveProperty("unhealthy");
    expect(await request(url)).toMatchObject({ status: 200, body: pod?.name });
  });

  test.each(["addresses", "ports"] as const)(
    "ask on a port of their own where there is one (podNetwork: %s)",
    async (podNetwork) => {
      const TWO = `${process.execPath} -e '
        const { createServer } = require("node:http");
        createServer((q, r) => r.end(process.env.POD_NAME)).listen(3000);
        createServer((q, r) => r.end("well")).listen(8081);'`;
      const config = { ...backendConfig("web", "NONE"), spec: { healthCheck: { port: 8081 } } };
      const { lab, url } = await start({
        objects: [
          deployment("web", { replicas: 2, container }),
          config,
          service("web", 3000, "web"),
          ingress("web", "web"),
        ],
        images: { "acme/chat": TWO },
        podNetwork,
      });
      expect(lab.pods().map(({ ready }) => ready)).toEqual([true, true]);
      expect((await podsAnswering(url, 20)).size).toBe(2);
    },
  );

  test("make a lab wait for pods that are well a little later than they listen", async () => {
    const SLOW = SICK.replace("let status = 404", "let status = 503; setTimeout(() => status = 200, 300)");
    const { lab, events, url } = await start({ objects, images: { "acme/chat": SLOW } });
    expect(states(events)).toEqual(["started", "ready"]);
    expect(lab.pods()).toMatchObject([{ ready: true }]);
    expect((await request(url)).status).toBe(200);
  });
});

describe("a lab that can't be", () => {
  async function refusal(given: Partial<LabOptions>): Promise<{ error: LabError; events: LabEvent[] }> {
    const events: LabEvent[] = [];
    const error = await startLab({
      objects: [],
      port: 0,
      onEvent: (event) => events.push(event),
      ...given,
    }).then(
      () => undefined,
      (reason: LabError) => reason,
    );
    if (!error) throw new Error("it started");
    return { error, events };
  }

  test("names every image that nobody knows how to run, and starts nothing", async () => {
    const unknown = ["a", "b"].map((name) => deployment(name, { container: { image: `acme/${name}:1` } }));
    const { error, events } = await refusal({ objects: [...stickySystem(), ...unknown] });
    expect(error.code).toBe("MANIFESTS_REFUSED");
    expect(error.findings).toMatchObject([
      { code: "IMAGE_UNKNOWN", object: "Deployment default/a" },
      { code: "IMAGE_UNKNOWN", object: "Deployment default/b" },
    ]);
    expect(events).toEqual([]);
  });

  test("is refused as a whole for what GKE would refuse", async () => {
    const { error, events } = await refusal({ objects: [ingress("web", "absent")] });
    expect(error).toMatchObject({ code: "MANIFESTS_REFUSED", findings: [{ object: "Ingress default/web" }] });
    expect(events).toEqual([]);
  });

  test("names the port that is in use and leaves nothing behind, the first listener included", async () => {
    const { port, blocker } = await blockedNeighbour();
    closing.push(() => blocker.close());
    const second = [ingress("web-2", "web")];
    const { error, events } = await refusal({ objects: [...stickySystem(), ...second], port });
    expect(error).toMatchObject({ code: "PORT_IN_USE", message: expect.stringContaining(`:${port + 1}`) });
    expect(events.filter(({ type }) => type === "pod")).toEqual([]);
    const { lab } = await start({ objects: stickySystem(), port });
    expect(lab.listeners).toMatchObject([{ port }]);
  });

  test("refuses more pods than a machine bears", async () => {
    const { error } = await refusal({ objects: [deployment("web", { replicas: 1_000_000 })] });
    expect(error.findings).toMatchObject([{ code: "PODS_TOO_MANY" }]);
  });

  test("refuses options that it does not know or that are out of range", async () => {
    for (const wrong of [
      { prot: 1 },
      { port: 70_000 },
      { port: 1.5 },
      { graceMs: -1 },
      { images: { a: " " } },
    ]) {
      expect((await refusal(wrong)).error.code).toBe("OPTION_INVALID");
    }
  });

  test("takes all down when it is aborted while it starts", async () => {
    const abort = new AbortController();
    const pids: number[] = [];
    const { error } = await refusal({
      objects: [deployment("idle", { container: { image: "idle", ports: [{ containerPort: 3000 }] } })],
      images: { idle: "sleep 600" },
      signal: abort.signal,
      onEvent: (event) => {
        if (event.type !== "pod" || event.state !== "started") return;
        pids.push(event.pod.pid ?? 0);
        abort.abort();
      },
    });
    expect(error.code).toBe("LAB_CLOSED");
    expect(pids.map(isRunning)).toEqual([false]);
  });
});

test("warns of what will not be as the manifests have it", async () => {
  const sidecar = { name: "logger", image: "logger", ports: [], env: [] };
  const container = { command: ["/bin/other"] };
  const { events } = await start({
    objects: [deployment("web", { container, others: [sidecar] }), service("db", 5432), ingress("db", "db")],
    images: { unused: "true" },
  });
  const codes = events.flatMap((event) => (event.type === "finding" ? [event.finding.code] : []));
  expect(codes.sort()).toEqual([
    "COMMAND_NOT_USED",
    "CONTAINER_NOT_RUN",
    "IMAGE_FLAG_NOT_USED",
    "SERVICE_WITHOUT_PODS",
  ]);
});

test("runs no Deployment whose work the lab does itself, and says so", async () => {
  const { lab, events } = await start({
    objects: [deployment("broker", { container: { image: "holdfast/broker:1" } })],
    builtIn: { "holdfast/broker": { type: "hosted", standIn: "the lab's own broker" } },
  });
  expect(lab.pods()).toEqual([]);
  expect(events).toMatchObject([{ type: "finding", finding: { code: "LAB_STANDS_IN" } }]);
});

test("ends every pod within the grace, and may be closed twice", async () => {
  const { lab } = await start({ objects: stickySystem() });
  const pids = lab.pods().map(({ pid = 0 }) => pid);
  await Promise.all([lab.close(), lab.close()]);
  expect(pids.filter(isRunning)).toEqual([]);
});

test("a lab that is killed with SIGKILL leaves no process behind", async () => {
  const program = fileURLToPath(new URL("../test/doomed-lab.ts", import.meta.url));
  const doomed: ChildProcess = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
  closing.push(() => doomed.kill("SIGKILL"));
  const pids = await new Promise<number[]>((resolve) => {
    doomed.stdout?.once("data", (line: Buffer) => resolve(JSON.parse(line.toString())));
  });
  expect(pids).toHaveLength(3);
  expect(pids.every(isRunning)).toBe(true);
  doomed.kill("SIGKILL");
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
});
