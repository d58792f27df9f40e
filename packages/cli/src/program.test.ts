import { expect, test, vi } from "vitest";
import { holdfast, RunningCommand } from "../test/command.ts";

const wait = { timeout: 10_000, interval: 20 };

test("without a command it prints its help and ends with 2", async () => {
  const { code, stderr } = await holdfast([]);
  expect(code).toBe(2);
  for (const name of ["lab", "ingress", "server", "api", "broker", "publish"])
    expect(stderr).toMatch(new RegExp(`^  ${name} `, "m"));
});

test.each(["lab", "ingress", "server", "api", "broker", "publish"])(
  "%s --help shows an example and ends with 0",
  async (name) => {
    const { code, stdout } = await holdfast([name, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples?:\\n.*holdfast ${name}`));
  },
);

test("loads no server, balancer or broker before the command that runs it", async () => {
  const told = 'process.on("exit", () => console.error(JSON.stringify(urls)))';
  const hook = `import { registerHooks } from "node:module"; const urls = []; ${told};
    registerHooks({ load(url, context, next) { urls.push(url); return next(url, context); } });`;
  const env = { NODE_OPTIONS: `--import="data:text/javascript,${encodeURIComponent(hook)}"` };
  const { stderr } = await holdfast(["--help"], { env });
  const files = (JSON.parse(stderr.trim().split("\n").at(-1) ?? "") as string[]).map((url) =>
    url.replace(/^.*\/packages\//, ""),
  );
  expect(files).toContain("cli/src/program.ts");
  expect(
    files.filter((file) => /^(ingress|lab|broker|broker-redis|broker-nats|socketio|hub)\//.test(file)),
  ).toEqual([]);
  expect(files).not.toContain("server/src/mod.ts");
});

test("refuses a command that it does not know with 2", async () => {
  const { code, stderr } = await holdfast(["doctro"]);
  expect(code).toBe(2);
  expect(stderr).toContain("doctro");
});

test.each(["server", "api", "broker"])(
  "%s runs from the environment and ends in order on SIGTERM",
  async (name) => {
    const env = {
      PORT: "0",
      POD_IP: "127.0.0.1",
      POD_NAME: "pod-1",
      HOLDFAST_BROKER_TOKEN: "0123456789abcdef",
    };
    const server = new RunningCommand([name], { env });
    try {
      await vi.waitFor(() => expect(server.stdout).toContain('"listening"'), wait);
      server.child.kill("SIGTERM");
      expect(await server.exit()).toBe(0);
      expect(server.stdout).toContain('"closed"');
    } finally {
      server.child.kill("SIGKILL");
    }
  },
);

test("names a variable of the environment that is wrong", async () => {
  const { code, stderr } = await holdfast(["server"], { env: { PORT: "http" } });
  expect(code).toBe(2);
  expect(stderr).toMatch(/^error CONFIG_INVALID: .*PORT=http/);
});
