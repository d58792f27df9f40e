import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, test, vi } from "vitest";
import { groupOf, isRunning, request } from "../test/processes.ts";
import type { LabEvent } from "./events.ts";
import type { PodCommand } from "./images.ts";
import { Pod } from "./pod.ts";
import { PodAddresses } from "./pod-addresses.ts";
import { lentEnvironment } from "./pod-environment.ts";

const serveHostname = fileURLToPath(new URL("./serve-hostname.ts", import.meta.url));
const wait = { timeout: 10_000, interval: 10 };

const closing: (() => Promise<unknown>)[] = [];
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

async function startPod(command: PodCommand, graceMs = 1000) {
  const addresses = new PodAddresses("auto");
  const address = await addresses.allot([3000]);
  const port = address.ports.get(3000) ?? 3000;
  const events: LabEvent[] = [];
  const pod: Pod = new Pod({
    name: "web-1",
    namespace: "default",
    deployment: "web",
    address,
    port: 3000,
    ports: [{ containerPort: 3000 }],
    labels: {},
    command,
    cwd: process.cwd(),
    env: { ...lentEnvironment(process.env), HOSTNAME: "web-1", PORT: String(port), POD_IP: address.ip },
    readyPorts: [3000],
    graceMs,
    onAccepting: () => pod.judge(undefined),
    onEvent: (event) => events.push(event),
  });
  closing.push(
    () => pod.close(),
    () => addresses.close(),
  );
  pod.start();
  return {
    pod,
    url: `http://${address.ip}:${port}/`,
    lines: () => events.flatMap((event) => (event.type === "log" ? [event.line] : [])),
    exits: () => events.filter((event) => event.type === "pod" && event.state === "exited"),
    ready: () => vi.waitFor(() => expect(pod.ready).toBe(true), wait),
  };
}

/** A Node program that writes its own process id and that of a child in the background, and serves on PORT. */
const FAMILY = `${JSON.stringify(process.execPath)} -e '
  const child = require("node:child_process").spawn("sleep", ["600"], { stdio: "ignore" });
  console.log(process.pid, child.pid);
  require("node:http").createServer((q, r) => r.end("hi")).listen(process.env.PORT, process.env.POD_IP);'`;

/** A shell that shrugs off SIGTERM. */
const STUBBORN = `trap '' TERM; echo up $$; while :; do sleep 0.1; done`;

describe.each<[string, PodCommand]>([
  ["a Node program", { type: "node", argv: [serveHostname] }],
  ["a shell command", { type: "shell", command: `${process.execPath} ${serveHostname}` }],
])("a pod that is %s", (_, command) => {
  test("is ready once its port accepts a connection, and says its name", async () => {
    const { url, ready, lines } = await startPod(command);
    await ready();
    expect(await request(url)).toMatchObject({ status: 200, body: "web-1" });
    await vi.waitFor(() => expect(lines()).toEqual(["serving web-1"]), wait);
  });

  test("is unhealthy the moment its process is killed, and comes back with name and address", async () => {
    const { pod, url, ready, exits } = await startPod(command);
    await ready();
    const before = pod.status();
    process.kill(before.pid ?? 0, "SIGKILL");
    await vi.waitFor(() => expect(exits()).toHaveLength(1), wait);
    expect(exits()).toMatchObject([{ pod: { ready: false }, exit: { signal: "SIGKILL" }, restartInMs: 200 }]);
    await ready();
    expect((await request(url)).body).toBe("web-1");
    expect(pod.status()).toMatchObject({ name: before.name, address: before.address, restarts: 1 });
    expect(pod.status().pid).not.toBe(before.pid);
  });

  test("ends when it is closed, and is not started again", async () => {
    const { pod, ready, exits } = await startPod(command);
    await ready();
    const { pid = 0 } = pod.status();
    await Promise.all([pod.close(), pod.close()]);
    expect(isRunning(pid)).toBe(false);
    expect(exits()).toEqual([expect.not.objectContaining({ restartInMs: expect.anything() })]);
  });
});

test("waits longer before each restart of a pod that keeps crashing", async () => {
  const { exits } = await startPod({ type: "shell", command: "exit 7" });
  await vi.waitFor(() => expect(exits()).toHaveLength(3), wait);
  expect(exits()).toMatchObject([
    { exit: { code: 7 }, restartInMs: 200 },
    { exit: { code: 7 }, restartInMs: 400 },
    { exit: { code: 7 }, restartInMs: 800 },
  ]);
});

test("reports a command that can't be started at all", async () => {
  const { exits } = await startPod({ type: "shell", command: "no-such-program" });
  await vi.waitFor(() => expect(exits()[0]).toMatchObject({ exit: { code: 127 } }), wait);
});

test("takes the processes that a command started with it when it dies", async () => {
  const { pod, ready, lines } = await startPod({ type: "shell", command: FAMILY });
  await ready();
  const pids = (lines()[0] ?? "").split(" ").map(Number);
  process.kill(pod.status().pid ?? 0, "SIGKILL");
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
});

test("takes its command with it when the process that watches over it is killed", async () => {
  const { ready, lines } = await startPod({ type: "shell", command: FAMILY });
  await ready();
  const pids = (lines()[0] ?? "").split(" ").map(Number);
  process.kill(groupOf(pids[0] ?? 0), "SIGKILL");
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
});

test("takes the processes that a command started with it when it is closed", async () => {
  const { pod, ready, lines } = await startPod({ type: "shell", command: FAMILY });
  await ready();
  const pids = (lines()[0] ?? "").split(" ").map(Number);
  await pod.close();
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
});

test("kills what does not end within the grace", async () => {
  const { pod, lines } = await startPod({ type: "shell", command: STUBBORN }, 300);
  await vi.waitFor(() => expect(lines()[0]).toMatch(/^up/), wait);
  const begun = performance.now();
  await pod.close();
  expect(performance.now() - begun).toBeGreaterThan(290);
  expect(isRunning(Number(lines()[0]?.split(" ")[1]))).toBe(false);
});
