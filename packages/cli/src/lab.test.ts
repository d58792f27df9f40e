import { createServer } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { isRunning } from "../../lab/test/processes.ts";
import { holdfast, manifests, RunningCommand } from "../test/command.ts";

const wait = { timeout: 15_000, interval: 20 };
const closing: (() => unknown)[] = [];
afterEach(() => Promise.all(closing.splice(0).map((close) => close())));

function start(args: readonly string[], input: string): RunningCommand {
  const command = new RunningCommand(["lab", "-", "--port", "0", ...args], { input });
  closing.push(() => command.child.kill("SIGKILL"));
  return command;
}

/** A pod that shrugs off SIGTERM, and tells when it is so far. */
const STUBBORN = "stubborn=trap '' TERM; echo up; while :; do sleep 0.1; done";

function stubbornDeployment(): string {
  const [deployment = ""] = manifests({ image: "stubborn" }).split("---");
  return deployment.replaceAll("web", "stubborn").replace(/ports: .*/, "");
}

describe("holdfast lab", () => {
  test("prints a table that a person can read, and the address to open last", async () => {
    const lab = start([], manifests());
    await vi.waitFor(() => expect(lab.stdout).toContain("Ready in"), wait);
    const address = /Ready in \d\.\d s\. Open (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(lab.stdout)?.[1];
    expect(address).toBeDefined();
    expect(lab.stdout).toContain(`Ingress default/web  ${address}`);
    expect(lab.stdout).toMatch(/^ {2}HOST {2}PATH +SERVICE +AFFINITY {2}PODS$/m);
    expect(lab.stdout).toMatch(/^ {2}\* +\(default\) +default\/web:80 +NONE +2 of 2 ready$/m);
    expect(lab.stdout.match(/^web-\S+ +default\/web:80 +127\.\S+:9376 +\d+ +ready$/gm)).toHaveLength(2);
    expect(lab.stdout).toMatch(/^web-\S+ \| serving web-/m);
    expect(await fetch(address ?? "").then((answer) => answer.text())).toMatch(/^web-/);
  });

  test("says of a pod that fails its health check what was asked and what came", async () => {
    const sick = `sick=${process.execPath} -e 'require("node:http").createServer((q, r) => {
      r.statusCode = 404;
      r.end();
    }).listen(9376)'`;
    const lab = start(["--image", sick], manifests({ image: "sick" }));
    await vi.waitFor(() => expect(lab.stdout).toMatch(/^After \d\.\d s 2 of 2 pods are not ready\./m), wait);
    const why = "GET / answered 404, want 200";
    const line = `^web-\\S+ is unhealthy, so default/web:80 sends it no requests: ${why}$`;
    expect(lab.stdout.match(new RegExp(line, "gm"))).toHaveLength(2);
    expect(
      lab.stdout.match(new RegExp(`^web-\\S+ +default/web:80 .* unhealthy: ${why}$`, "gm")),
    ).toHaveLength(2);
    expect(lab.stdout).toMatch(/default\/web:80 +NONE +0 of 2 ready$/m);
  });

  test("ends everything within 3 seconds of Ctrl-C, with exit code 0", async () => {
    const lab = start(["--json", "--image", STUBBORN], `${manifests()}---${stubbornDeployment()}`);
    await vi.waitFor(() => {
      const told = lab.events().map(({ type, line }) => line ?? type);
      expect(told).toEqual(expect.arrayContaining(["ready", "up"]));
    }, wait);
    const pids = lab.events().flatMap(({ state, pid }) => (state === "started" ? [Number(pid)] : []));
    expect(pids).toHaveLength(4);
    const begun = performance.now();
    // Twice, as when npm passes the terminal's Ctrl-C on.
    lab.child.kill("SIGINT");
    await vi.waitFor(() => expect(lab.events().map(({ type }) => type)).toContain("closing"), wait);
    lab.child.kill("SIGINT");
    expect(await lab.exit()).toBe(0);
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
    expect(performance.now() - begun).toBeLessThan(3000);
  });

  test("tells programs the same as JSON, one object a line", async () => {
    const lab = start(["--json"], manifests());
    await vi.waitFor(() => expect(lab.events().map(({ type }) => type)).toContain("ready"), wait);
    const ready = lab.events().find(({ type }) => type === "ready");
    expect(ready).toMatchObject({
      ms: expect.any(Number),
      loadBalancers: [
        {
          name: "default/web",
          url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
          rules: [{ host: "*", service: "default/web:80", affinity: { type: "NONE" } }],
        },
      ],
      pods: [
        {
          deployment: "web",
          namespace: "default",
          port: 9376,
          pid: expect.any(Number),
          ready: true,
          restarts: 0,
        },
        { deployment: "web" },
      ],
      broker: { url: expect.stringMatching(/^holdfast:\/\/127\.0\.0\.1:\d+$/) },
    });
    const first = lab.events().find(({ type, state }) => type === "pod" && state === "ready");
    process.kill(Number(first?.pid), "SIGKILL");
    const states = () => lab.events().filter(({ type, pod }) => type === "pod" && pod === first?.pod);
    await vi.waitFor(
      () =>
        expect(
          states()
            .map(({ state }) => state)
            .slice(-3),
        ).toEqual(["exited", "started", "ready"]),
      wait,
    );
    expect(states().at(-1)).toMatchObject({ restarts: 1, deployment: "web" });
    expect(states().at(-1)?.pid).not.toBe(first?.pid);
  });

  test("ends at once with 130 on a second Ctrl-C, and its pods go too", async () => {
    const lab = start(["--json", "--image", STUBBORN], stubbornDeployment());
    await vi.waitFor(() => expect(lab.events().filter(({ line }) => line === "up")).toHaveLength(2), wait);
    const pids = lab.events().flatMap(({ state, pid }) => (state === "started" ? [Number(pid)] : []));
    lab.child.kill("SIGINT");
    await vi.waitFor(() => expect(lab.events().map(({ type }) => type)).toContain("closing"), wait);
    // One that follows right upon the first is taken for the same, so this goes on until one counts.
    const again = setInterval(() => lab.child.kill("SIGINT"), 50);
    expect(await lab.exit()).toBe(130);
    clearInterval(again);
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
  });

  test("leaves no pod behind when it is killed with SIGKILL", async () => {
    const lab = start(["--json", "--image", STUBBORN], `${manifests()}---${stubbornDeployment()}`);
    await vi.waitFor(() => expect(lab.events().map(({ type }) => type)).toContain("ready"), wait);
    const pids = lab.events().flatMap(({ state, pid }) => (state === "started" ? [Number(pid)] : []));
    expect(pids.filter(isRunning)).toHaveLength(4);
    lab.child.kill("SIGKILL");
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), wait);
  });

  test("mends in memory what it is told to, and says what in one line each", async () => {
    const tabbed = manifests().replace("  replicas: 2", "\treplicas: 2");
    const standAlone = tabbed.replace(`'{"ingress": true}'`, `'{"exposed_ports": {"80": {"name": "NEG"}}}'`);
    const lab = start(["--mend"], standAlone);
    await vi.waitFor(() => expect(lab.stdout).toContain("Ready in"), wait);
    expect(lab.stdout.match(/^mended <stdin>:\d+:\d+ .+$/gm)).toHaveLength(2);
  });
});

describe("holdfast lab refuses", () => {
  const lab = (input: string, ...args: string[]) => holdfast(["lab", "-", "--port", "0", ...args], { input });

  test("a path that does not exist, as misuse", async () => {
    const { code, stderr } = await holdfast(["lab", "no/such/folder"]);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining("no/such/folder") });
    expect(stderr).toContain("PATH_NOT_FOUND");
  });

  test("nothing given, with its help", async () => {
    const { code, stderr } = await holdfast(["lab"]);
    expect(code).toBe(2);
    expect(stderr).toContain("Usage: holdfast lab");
    expect(stderr).toContain("holdfast lab examples/chat");
  });

  test.each([
    ["--prot"],
    ["--port", "80x"],
    ["--port", "65536"],
    ["--image", "no-command"],
    ["--image", "=x"],
  ])("a flag that it can't understand: %s %s", async (...flag) => {
    const { code, stderr } = await lab(manifests(), ...flag);
    expect(code).toBe(2);
    expect(stderr).toContain(flag[0]);
  });

  test("an empty input", async () => {
    const { code, stderr } = await lab("");
    expect(code).toBe(1);
    expect(stderr).toContain("NO_OBJECTS");
  });

  test("YAML that is not Kubernetes, with file, line and column", async () => {
    const { code, stderr } = await lab(`${manifests()}---\nname: value\n`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^<stdin>:\d+:1: error NOT_KUBERNETES: .*\n {2}fix: /);
  });

  test("a tab where YAML allows none, with file, line and column, and starts nothing", async () => {
    const { code, stderr, stdout } = await lab(manifests().replace("  replicas: 2", "\treplicas: 2"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^<stdin>:7:1: error YAML_TAB: .*\n {2}fix: .*--mend/);
    expect(stdout).toBe("");
  });

  test("an unknown image, with the Deployment, the image and the flag", async () => {
    const { code, stderr, stdout } = await lab(manifests({ image: "acme/chat:1.2" }));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^<stdin>:\d+:\d+: error IMAGE_UNKNOWN: Deployment default\/web: .*acme\/chat:1\.2/,
    );
    expect(stderr).toContain("--image 'acme/chat=COMMAND'");
    expect(stdout).toBe("");
  });

  test("an Ingress to a Service that isn't there", async () => {
    const { code, stderr } = await lab(manifests({ service: "absent" }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^<stdin>:\d+:\d+: error GKE-P08: Ingress default\/web: .*absent.*\n {2}fix: /);
  });

  test("a Service port that isn't there", async () => {
    const { code, stderr } = await lab(manifests({ port: 8888 }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^<stdin>:\d+:\d+: error GKE-P08: Ingress default\/web: .*8888.*\n {2}fix: .*80/);
  });

  test("a stand-alone NEG with an Ingress, in GKE's words", async () => {
    const input = manifests().replace(`'{"ingress": true}'`, `'{"exposed_ports": {"80": {"name": "NEG"}}}'`);
    const { code, stderr } = await lab(input);
    expect(code).toBe(1);
    expect(stderr).toContain(`is type "ClusterIP", expected "NodePort" or "LoadBalancer"`);
  });

  test("a port in use, with the port and the flag, and leaves nothing running", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    closing.push(() => blocker.close());
    const { port } = blocker.address() as { port: number };
    const { code, stderr, stdout } = await lab(manifests(), "--port", String(port));
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`^error PORT_IN_USE: .*127\\.0\\.0\\.1:${port}.*--port`));
    expect(stdout).toBe("");
  });

  test("also in JSON, with the place as fields", async () => {
    const { code, stdout, stderr } = await lab(manifests({ image: "acme/chat" }), "--json");
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    const events = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.find(({ type }) => type === "error")).toMatchObject({
      code: "IMAGE_UNKNOWN",
      object: "Deployment default/web",
      at: { file: "<stdin>", line: expect.any(Number), column: expect.any(Number) },
      fix: expect.any(String),
    });
  });
});
