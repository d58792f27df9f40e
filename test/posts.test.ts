import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent } from "node:http";
import type { LookupFunction } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@holdfast/client";
import { afterAll, describe, expect, test } from "vitest";
import { LabProcess } from "../faults/lab-process.ts";
import { holdfast } from "./support/cli.ts";
import { type Answer, balance, requests } from "./support/http.ts";
import { postBlocks } from "./support/posts.ts";

const scratch = mkdtempSync(join(tmpdir(), "holdfast-posts-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Writes blocks to files named by their kind in a new folder. */
function folderOf(name: string, blocks: readonly { kind: string; text: string }[]): string {
  const folder = mkdtempSync(join(scratch, `${name}-`));
  for (const { kind, text } of blocks) writeFileSync(join(folder, `${kind.toLowerCase()}.yaml`), text);
  return folder;
}

/** Stands in for the DNS record that points the post's host at the balancer. */
function loopbackAgent(): Agent {
  const lookup: LookupFunction = (_host, options, done) =>
    options.all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4);
  return new Agent({ lookup });
}

const first = postBlocks("2020-gke-ingress-sticky-session");
const firstWith = (affinity: string) =>
  first.map(({ kind, text }) => ({ kind, text: text.replace('"GENERATED_COOKIE"', `"${affinity}"`) }));

describe("the first post's four objects", () => {
  test("are refused as they stand: file, line and column of the tab, what is wrong, and the mend", async () => {
    const folder = folderOf("first", first);
    const { code, stdout, stderr } = await holdfast(["lab", folder, "--port", "0"]);
    expect(code).toBe(1);
    expect(stderr).toContain(`${join(folder, "deployment.yaml")}:`);
    const tab = first
      .find(({ kind }) => kind === "Deployment")
      ?.text.split("\n")
      .findIndex((line) => line.includes("\t"));
    expect(stderr).toMatch(new RegExp(`deployment\\.yaml:${Number(tab) + 1}:1\\b`));
    expect(stderr).toMatch(/tab/);
    expect(stderr).toMatch(/--mend/);
    expect(stdout).not.toMatch(/ready/i);
  });

  test("run with --mend: the cookie keeps a client on its pod until that pod is killed", async () => {
    await using lab = await LabProcess.start(["--mend", folderOf("first", first)]);
    expect(lab.output).toMatch(/deployment\.yaml/);
    const pods = lab.pods("neg-demo-app").map((pod) => pod.name);
    expect(pods).toHaveLength(2);

    const [answer] = await requests(lab.url, 1);
    const cookie = answer?.cookie?.split(";")[0];
    expect(answer?.cookie).toMatch(
      /^GCLB=[\w-]+; path=\/; HttpOnly; expires=\w{3}, \d\d-\w{3}-\d{4} \d\d:\d\d:\d\d GMT$/,
    );
    expect(pods).toContain(answer?.body);

    const sticking = balance(await requests(lab.url, 100, { cookie: `${cookie}` }));
    expect(sticking).toEqual({ [`${answer?.body}`]: 100 });

    const spread = Object.values(balance(await requests(lab.url, 100)));
    expect(spread).toHaveLength(2);
    expect(Math.max(...spread)).toBeLessThanOrEqual(65);

    const other = pods.find((pod) => pod !== answer?.body);
    let whileAway: Answer | undefined;
    for (let attempt = 0; whileAway === undefined && attempt < 5; attempt += 1) {
      await lab.kill(`${answer?.body}`);
      const [after] = await requests(lab.url, 1, { cookie: `${cookie}` });
      expect(after?.status).toBe(200);
      // The pod starts again at once; an answer that came after that proves nothing of the time before.
      if (lab.isAway(`${answer?.body}`)) whileAway = after;
      await lab.untilReady(`${answer?.body}`);
    }
    expect(whileAway?.body).toBe(other);
  });

  test("lose no more than what was in flight when a pod is killed under load", async () => {
    await using lab = await LabProcess.start(["--mend", folderOf("first", first)]);
    const [answer] = await requests(lab.url, 1);
    const cookie = `${answer?.cookie?.split(";")[0]}`;
    const inFlight = 8;
    let sent = 0;
    let failed = 0;
    let killed: Promise<void> | undefined;
    const worker = async () => {
      while (sent < 800) {
        sent += 1;
        if (sent === 400) killed = lab.kill(`${answer?.body}`);
        const [outcome] = await requests(lab.url, 1, { cookie });
        if (outcome?.status !== 200) failed += 1;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    await killed;
    expect(failed).toBeLessThanOrEqual(inFlight);
  });

  test("stick by client IP without any cookie when the BackendConfig says so", async () => {
    await using lab = await LabProcess.start(["--mend", folderOf("client-ip", firstWith("CLIENT_IP"))]);
    const answers = await requests(lab.url, 100);
    expect(Object.keys(balance(answers))).toHaveLength(1);
    expect(answers.filter(({ cookie }) => cookie !== undefined)).toEqual([]);
  });

  test("don't stick with affinity NONE", async () => {
    await using lab = await LabProcess.start(["--mend", folderOf("none", firstWith("NONE"))]);
    const answers = await requests(lab.url, 100);
    expect(Math.max(...Object.values(balance(answers)))).toBeLessThanOrEqual(65);
    expect(answers.filter(({ cookie }) => cookie !== undefined)).toEqual([]);
  });
});

describe("the second post's objects", () => {
  // The post shows the Service twice, as two ways to the same end that come out alike.
  const second = [
    ...new Map(postBlocks("2025-sticky-session-in-kubernetes").map((block) => [block.kind, block])).values(),
  ];
  const deployment = {
    kind: "Deployment",
    text: `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: socket-app
spec:
  replicas: 2
  selector: { matchLabels: { app: socket-app } }
  template:
    metadata: { labels: { app: socket-app } }
    spec:
      containers:
        - name: server
          image: holdfast/server
          ports: [{ containerPort: 3000 }]
`,
  };

  test("are refused as they stand, in GKE's words, with the mend", async () => {
    const folder = folderOf("second", second);
    const { code, stderr } = await holdfast(["lab", folder, "--port", "0"]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'service "default/socket-service" is type "ClusterIP", expected "NodePort" or "LoadBalancer" when not using NEGs',
    );
    expect(stderr).toMatch(/service\.yaml:\d+:\d+/);
    expect(stderr).toContain('{"ingress": true}');
  });

  test("run with --mend and a Deployment: a client of socket.example.com subscribes", async () => {
    await using lab = await LabProcess.start(["--mend", folderOf("second", [...second, deployment])]);
    expect(lab.output).toMatch(/service\.yaml/);
    const { port } = new URL(lab.url);
    const client = connect(`http://socket.example.com:${port}`, {
      // Its types leave out what it takes on Node: an http.Agent.
      socket: {
        agent: loopbackAgent() as unknown as boolean,
        withCredentials: true,
        transports: ["polling"],
      },
    });
    try {
      const channel = client.channel("room-1");
      await channel.subscribe();
      expect(lab.pods("socket-app").map((pod) => pod.name)).toContain(client.node);
    } finally {
      client.close();
    }
    const [elsewhere] = await requests(lab.url, 1);
    expect(elsewhere?.status).toBe(404);
  });
});
