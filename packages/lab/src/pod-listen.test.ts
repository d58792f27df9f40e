import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { freePorts } from "../test/processes.ts";

const program = fileURLToPath(new URL("./pod-listen.cjs", import.meta.url));

/** Where a Node program ends up that calls `listen` with these arguments, in JavaScript. */
async function listens(args: string, podListen: string): Promise<{ address: string; port: number }> {
  const script = `
    const server = require("node:net").createServer();
    server.on("listening", () => { console.log(JSON.stringify(server.address())); server.close(); });
    server.listen(${args});`;
  const env = { ...process.env, POD_LISTEN: podListen };
  const { stdout } = await promisify(execFile)(process.execPath, ["--require", program, "-e", script], {
    env,
  });
  return JSON.parse(stdout);
}

const [PORT = 0, OTHER = 0] = await freePorts(2);

test.each([
  [`${PORT}`],
  [`"${PORT}"`],
  [`${PORT}, () => {}`],
  [`${PORT}, 511`],
  [`${PORT}, 511, () => {}`],
  [`${PORT}, "0.0.0.0"`],
  [`${PORT}, "::", 511, () => {}`],
  [`${PORT}, undefined, () => {}`],
  [`${PORT}, null, 511`],
  [`{ port: ${PORT} }`],
  [`{ port: ${PORT}, host: "::" }, () => {}`],
])("listen(%s) is one on the pod's address", async (args) => {
  expect(await listens(args, "127.7.7.7")).toMatchObject({ address: "127.7.7.7", port: PORT });
});

test.each([["() => {}"], [""], ["0"], ["{ port: 0 }"]])(
  "listen(%s) takes any port of the pod's address",
  async (args) => {
    expect(await listens(args, "127.7.7.7")).toMatchObject({ address: "127.7.7.7" });
  },
);

test.each([[`${PORT}, "127.0.0.1"`], [`{ port: ${PORT}, host: "127.0.0.1" }`]])(
  "listen(%s) names an address and keeps it",
  async (args) => {
    expect(await listens(args, "127.7.7.7")).toMatchObject({ address: "127.0.0.1", port: PORT });
  },
);

test("takes the port that stands for the containerPort", async () => {
  expect(await listens(`${PORT}`, `127.0.0.1 ${PORT}:${OTHER}`)).toMatchObject({
    address: "127.0.0.1",
    port: OTHER,
  });
});

test("leaves the path of a socket file alone", async () => {
  const path = join(tmpdir(), `holdfast-${process.pid}.sock`);
  expect(await listens(JSON.stringify(path), "127.7.7.7")).toBe(path);
});
