import { createServer, type ServerResponse } from "node:http";
import { Agent, get as getSecurely } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { certificateFor } from "../../ingress/test/certificates.ts";
import { holdfast } from "../test/command.ts";
import { get, RunningIngress, secret, served } from "../test/ingress.ts";

const wait = { timeout: 15_000, interval: 20 };

/** The name in the certificate of the connection that a request goes over; the request must be answered. */
function shownBy(url: string, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    getSecurely(url, { agent, rejectUnauthorized: false }, (response) => {
      const name = String((response.socket as TLSSocket).getPeerCertificate().subject.CN);
      response.resume().once("end", () => resolve(response.statusCode === 200 ? name : "refused"));
    }).on("error", reject);
  });
}

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

    ingress.write("other.yaml", served("other", [other]).replace("number: 80", "number: 81"));
    const kept = () => ingress.told("served").at(-1)?.kept;
    await vi.waitFor(() => expect(kept()).toEqual(["default/other"]), wait);
    expect(ingress.told("kubernetes-event")).toContainEqual({
      type: "kubernetes-event",
      object: "Ingress default/other",
      eventType: "Warning",
      reason: "Translate",
      message: expect.stringMatching(/^Translation failed: invalid ingress spec: .*could not find port/),
    });
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

describe("TLS", () => {
  test("is served with the Secret's certificate; a new one is shown to new clients alone", async () => {
    const pod = await ingress.pod(({ headers }, response) => response.end(headers["x-forwarded-proto"]));
    const spec = "  tls: [{ secretName: web-tls }]";
    ingress.write("web.yaml", served("web", [pod], { spec }));
    ingress.write("tls.yaml", secret("web-tls", await certificateFor(["one.example"])));
    ingress.start("--workers", "2");
    await ingress.ready();
    const url = ingress.urlOf("default/web", true);
    const agents = Array.from({ length: 6 }, () => new Agent({ keepAlive: true, maxSockets: 1 }));
    const names = () => Promise.all(agents.map((agent) => shownBy(url, agent)));
    expect(new Set(await names())).toEqual(new Set(["one.example"]));

    ingress.write("tls.yaml", secret("web-tls", await certificateFor(["two.example"])));
    await vi.waitFor(async () => {
      const fresh = await Promise.all(agents.map(() => shownBy(url, new Agent())));
      expect(new Set(fresh)).toEqual(new Set(["two.example"]));
    }, wait);
    // The connections that stood before are the same ones.
    expect(new Set(await names())).toEqual(new Set(["one.example"]));

    ingress.write("tls.yaml", secret("web-tls", { chain: "rubbish", privateKey: "rubbish" }));
    await vi.waitFor(() => expect(ingress.told("served").at(-1)?.kept).toEqual(["default/web"]), wait);
    expect(await shownBy(url, new Agent())).toBe("two.example");
    expect(ingress.command.stdout).not.toMatch(/PRIVATE KEY|rubbish/);
    for (const agent of agents) agent.destroy();
  });
});

describe("its end", () => {
  test("lets open requests end first, says so at /readyz, and is 0; until then all workers' metrics are told as one", async () => {
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
    for (let round = 0; round < 10; round++) await get(url);
    await ingress.metric(/^holdfast_ingress_requests_total\{.*code="200",outcome="answered"\} 10$/m);
    await ingress.metric(/^holdfast_ingress_workers 2$/m);
    await ingress.metric(/^process_cpu_seconds_total /m);
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

  test("is its workers' too, however it ends: what is open is finished first", async () => {
    const open: ServerResponse[] = [];
    const pod = await ingress.pod((request, response) => {
      if (request.url === "/slow") open.push(response);
      else response.end();
    });
    ingress.write("web.yaml", served("web", [pod]));
    ingress.start("--workers", "2");
    await ingress.ready();
    const url = ingress.urlOf("default/web");
    const slow = get(`${url}/slow`);
    await vi.waitFor(() => expect(open).toHaveLength(1), wait);
    ingress.command.child.kill("SIGKILL");
    await vi.waitFor(() => expect(get(url)).rejects.toMatchObject({ code: "ECONNREFUSED" }), wait);
    open[0]?.end("at last");
    expect((await slow).body).toBe("at last");
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
    // A second signal right after the first is taken for the same one, which terminals and npm both pass on.
    await new Promise((resolve) => setTimeout(resolve, 350));
    ingress.command.child.kill("SIGTERM");
    expect(await ingress.command.exit()).toBe(130);
    expect(await cutOff).toBe("ECONNRESET");
  });
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

  test("with 2 where a flag's value can't be one", async () => {
    ingress.write("web.yaml", served("web", []));
    const flags = ["ingress", "--manifests", ingress.folder, "--admin-port", "0"];
    const { code, stderr } = await holdfast([...flags, "--trusted-proxies", "10.0.0.0/8,nowhere"]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("nowhere is not an IP address or CIDR range"),
    ]);
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
