import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { oldestNode } from "../scripts/oldest-node.ts";
import { requests } from "./support/http.ts";

const root = join(import.meta.dirname, "..");
const project = mkdtempSync(join(tmpdir(), "holdfast-test-build-"));
const modules = join(project, "node_modules");
const main = join(modules, "holdfast/main.js");

/** Installs what was built in a project of its own, with the packages from outside beside it. */
beforeAll(() => {
  execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: "inherit" });
  mkdirSync(join(modules, "@holdfast"), { recursive: true });
  for (const folder of readdirSync(join(root, "dist"))) {
    const { name } = JSON.parse(readFileSync(join(root, "dist", folder, "package.json"), "utf8"));
    cpSync(join(root, "dist", folder), join(modules, name), { recursive: true });
  }
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name === "holdfast" || name === "@holdfast" || name.startsWith(".")) continue;
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

test.each([
  ["the newest", process.execPath],
  ["the oldest", oldestNode],
])("the published command runs the lab on %s Node supported", async (_which, node) => {
  const child = spawn(node, [main, "lab", join(root, "examples/chat"), "--port", "0"], { cwd: project });
  try {
    const lines: string[] = [];
    child.stderr.on("data", (chunk) => lines.push(String(chunk)));
    const url = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        lines.push(line);
        const address = /^Ready in .* Open (http:\S+)$/.exec(line)?.[1];
        if (address) resolve(address);
      });
      child.on("close", (code) => reject(new Error(`ended with ${code}:\n${lines.join("\n")}`)));
    });
    const [page] = await requests(url, 1);
    expect(page?.body).toContain("<title>Holdfast chat</title>");
    const [bundle] = await requests(`${url}/holdfast/client.js`, 1);
    expect(bundle?.status).toBe(200);
    expect(lines.join("\n")).not.toContain("ExperimentalWarning");
  } finally {
    const closed = child.exitCode === null && new Promise((resolve) => child.on("close", resolve));
    child.kill("SIGINT");
    await closed;
  }
});

test("the published types are what a strict TypeScript project sees", () => {
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  writeFileSync(
    join(project, "use.ts"),
    `import { type Broker, openEmbeddedBroker } from "@holdfast/broker";
import { connect, type Message } from "@holdfast/client";
import { Hub } from "@holdfast/hub";
import { bindChannels } from "@holdfast/socketio";
import { Server } from "socket.io";

const broker: Broker = openEmbeddedBroker();
bindChannels(new Server(3000), new Hub(broker, { node: "one" }));
connect("http://localhost:3000").channel("room").on("message", (message: Message) => message.offset.toFixed());
// @ts-expect-error: an event that doesn't exist
connect("http://localhost:3000").channel("room").on("mesage", () => {});
`,
  );
  const options = ["--strict", "--noEmit", "--module", "nodenext", "--target", "es2024", "--skipLibCheck"];
  const types = ["--typeRoots", join(modules, "@types"), "--types", "node"];
  const tsc = join(root, "node_modules/.bin/tsc");
  expect(() =>
    execFileSync(tsc, [...options, ...types, "use.ts"], { cwd: project, stdio: "pipe" }),
  ).not.toThrow();
});
