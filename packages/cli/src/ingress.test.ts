import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { holdfast } from "../test/command.ts";
import { get, RunningIngress, served } from "../test/ingress.ts";

const wait = { timeout: 15_000, interval: 20 };

let ingress: RunningIngress;
beforeEach(() => {
  ingress = new RunningIngress();
});
afterEach(() => ingress.close());

describe("manifests that change", () => {
  test("are followed: what comes is served, what goes isn't, what is broken changes nothing", async () => {
    const web = await ingress.pod((_request, response) => response.end("web"));
    const other = await ingress.pod((_request, response) => response.end("other"));
    ingress.write("web.yaml", served("web", [web]));
    ingress.start();
    await ingress.ready();
    const url = ingress.urlOf("default/web");
    expect(await get(url)).toEqual({ status: 200, body: "web" });

    ingress.write("other.yaml", served("other", [other]));
    await ingress.metric(/^holdfast_ingress_endpoint_healthy\{.*default\/other.*\} 1$/m);
    const otherUrl = ingress.urlOf("default/other");
    expect(await get(otherUrl)).toEqual({ status: 200, body: "other" });

    ingress.write("other.yaml", "kind: [");
    await vi.waitFor(() => expect(ingress.told("kept")).toHaveLength(1), wait);
    expect(ingress.told("error").at(-1)).toMatchObject({
      at: { file: expect.stringMatching(/other\.yaml$/), line: expect.any(Number) },
    });
    expect(await get(otherUrl)).toEqual({ status: 200, body: "other" });

    ingress.write("other.yaml", served("other", []).replace("number: 80", "number: 81"));
    await vi.waitFor(() => expect(ingress.told("kept")).toHaveLength(2), wait);
    expect(await get(otherUrl)).toEqual({ status: 200, body: "other" });

    ingress.write("other.yaml", "");
    await vi.waitFor(() => expect(get(otherUrl)).rejects.toMatchObject({ code: "ECONNREFUSED" }), wait);
    expect(ingress.urlOf("default/web")).toBe(url);
    expect(await get(url)).toEqual({ status: 200, body: "web" });
  });

  test("are read again on SIGHUP, over and over under load, and no request fails", async () => {
    const pods = await Promise.all(
      ["one", "two"].map((name) => ingress.pod((_request, response) => response.end(name))),
    );
    ingress.write("web.yaml", served("web", pods));
    ingress.start();
    await ingress.ready();
    const url = ingress.urlOf("default/web");
    let over = false;
    const load = Array.from({ length: 4 }, async () => {
      const statuses: number[] = [];
      while (!over) statuses.push((await get(url)).status);
      return statuses;
    });
    for (let round = 0; round < 5; round++) {
      const before = ingress.told("served").length;
      ingress.command.child.kill("SIGHUP");
      await vi.waitFor(() => expect(ingress.told("served").length).toBeGreaterThan(before), wait);
    }
    over = true;
    const statuses = (await Promise.all(load)).flat();
    expect(statuses.length).toBeGreaterThan(20);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });
});

describe("its end", () => {
  test("lets open requests end first, says so at /readyz, and is 0", async () => {
    const open: ServerResponse[] = [];
    const pod = await ingress.pod((request, response) => {
      if (request.url === "/slow") open.push(response);
      else response.end();
    });
    ingress.write("web.yaml", served("web", [pod]));
    ingress.start("--workers", "2");
    await ingress.ready();
    const url = ingress.urlOf("default/web");
    expect(await get(ingress.adminUrl("/readyz"))).toMatchObject({ status: 200 });
    const slow = get(`${url}/slow`);
    await vi.waitFor(() => expect(open).toHaveLength(1), wait);
    ingress.command.child.kill("SIGTERM");
    await vi.waitFor(async () => expect((await get(ingress.adminUrl("/readyz"))).status).toBe(503), wait);
    expect((await get(ingress.adminUrl("/readyz"))).body).toContain("draining");
    await vi.waitFor(() => expect(get(url)).rejects.toMatchObject({ code: "ECONNREFUSED" }), wait);
    open[0]?.end("at last");
    expect(await slow).toEqual({ status: 200, body: "at last" });
    expect(await ingress.command.exit()).toBe(0);
  });

  test("comes at once with a second signal, and takes the workers along", async () => {
    const pod = await ingress.pod((request, response) => {
      if (request.url !== "/slow") response.end();
    });
    ingress.write("web.yaml", served("web", [pod]));
    ingress.start("--workers", "2");
    await ingress.ready();
    const url = ingress.urlOf("default/web");
    const cutOff = get(`${url}/slow`).catch(({ code }) => code);
    await ingress.metric(/^holdfast_ingress_endpoint_open\{.*\} 1$/m);
    ingress.command.child.kill("SIGTERM");
    await vi.waitFor(() => expect(ingress.told("closing")).toHaveLength(1), wait);
    await new Promise((resolve) => setTimeout(resolve, 350));
    ingress.command.child.kill("SIGTERM");
    expect(await ingress.command.exit()).toBe(130);
    expect(await cutOff).toBe("ECONNRESET");
  });
});

test("tells what it does at /metrics, all workers together", async () => {
  const pod = await ingress.pod((_request, response) => response.end("web"));
  ingress.write("web.yaml", served("web", [pod]));
  ingress.start("--workers", "2");
  await ingress.ready();
  for (let round = 0; round < 10; round++) await get(ingress.urlOf("default/web"));
  const { body } = await get(ingress.adminUrl("/metrics"));
  expect(body).toMatch(/^holdfast_ingress_requests_total\{.*code="200",outcome="answered"\} 10$/m);
  expect(body).toMatch(/^holdfast_ingress_workers 2$/m);
  expect(body).toMatch(/^process_cpu_seconds_total /m);
});

describe("is refused", () => {
  test("with 2 where there is nothing of that name", async () => {
    const { code, stderr } = await holdfast(["ingress", "--manifests", "/nowhere"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("PATH_NOT_FOUND")]);
  });

  test("with 1 where no Ingress can be served, with file, line and fix", async () => {
    ingress.write("web.yaml", served("web", []).replace("number: 80", "number: 81"));
    const { code, stderr } = await holdfast(["ingress", "--manifests", ingress.folder, "--admin-port", "0"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/web\.yaml:\d+:\d+: error GKE-/);
  });

  test("with 1 where a port is in use, and names the flag", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const port = String((taken.address() as AddressInfo).port);
    ingress.write("web.yaml", served("web", []));
    const flags = ["ingress", "--manifests", ingress.folder, "--admin-port", "0"];
    const { code, stderr } = await holdfast([...flags, "--http-port", port]);
    taken.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/error PORT_IN_USE: Ingress default\/web: .*--http-port/);
  });

  test("with 2 where the file of the cookie keys is wrong, without showing a secret", async () => {
    ingress.write("keys", "# keys\nk1 tooshort\n");
    const file = `${ingress.folder}/keys`;
    const { code, stderr } = await holdfast(["ingress", "--manifests", ".", "--cookie-key-file", file]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/error FILE_INVALID: .*keys:2: .*\n {2}fix: /);
    expect(stderr).not.toContain("tooshort");
  });
});
