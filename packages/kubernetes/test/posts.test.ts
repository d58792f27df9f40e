import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mend, translate } from "@holdfast/routing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readManifests } from "../src/mod.ts";
import { yamlBlocks } from "./markdown.ts";

// The two blog posts whose systems Holdfast is made for. Their own text is read where it is at hand, and a fixture
// equal in substance always.
const SEEDS = join(import.meta.dirname, "../../../../shared/seeds");
const FIXTURES = join(import.meta.dirname, "fixtures");

function textsOf(seed: string, fixture: string): { from: string; blocks: string[] }[] {
  return [join(FIXTURES, fixture), join(SEEDS, seed)]
    .filter((file) => existsSync(file))
    .map((file) => ({ from: file, blocks: manifestsOf(readFileSync(file, "utf8")) }));
}

function manifestsOf(markdown: string): string[] {
  return yamlBlocks(markdown).filter((block) => /^kind:/m.test(block));
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-posts-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(blocks: readonly string[]): Promise<void> {
  for (const [index, block] of blocks.entries()) await writeFile(join(folder, `${index + 1}.yaml`), block);
}

describe("the first post: a generated cookie", () => {
  for (const { from, blocks } of textsOf("2020-gke-ingress-sticky-session.md", "generated-cookie.md")) {
    describe(from.startsWith(SEEDS) ? "as written" : "as a fixture", () => {
      it("is refused for the tab in its Deployment, with the place and the mend", async () => {
        expect(blocks).toHaveLength(4);
        await write(blocks);
        const { problems, objects } = await readManifests([folder]);
        expect(problems).toMatchObject([
          { code: "YAML_TAB", at: { file: join(folder, "1.yaml"), line: 8, column: 1 } },
        ]);
        expect(problems[0]?.fix).toContain("spaces");
        expect(problems[0]?.fix).toContain("--mend");
        expect(objects.map(({ kind }) => kind)).toEqual(["BackendConfig", "Service", "Ingress"]);
      });

      it("gives one load balancer with a cookie of 50 seconds once the tab is mended", async () => {
        await write(blocks);
        const { problems, objects, mends } = await readManifests([folder], { mend: true });
        expect(problems).toEqual([]);
        expect(mends).toMatchObject([
          { before: "\t", after: "  ", at: { file: join(folder, "1.yaml"), line: 8, column: 1 } },
        ]);
        expect(objects.find(({ kind }) => kind === "Deployment")).toMatchObject({ spec: { replicas: 2 } });
        const { model, findings } = translate(objects);
        expect(model.loadBalancers).toEqual([
          {
            name: "default/neg-demo-ing",
            face: "gce",
            urlMap: { hosts: [], defaultBackend: "default/neg-demo-svc:80" },
            plainHttp: true,
            sessionAffinity: false,
          },
        ]);
        expect(model.backendServices.get("default/neg-demo-svc:80")).toMatchObject({
          targetPort: 9376,
          selector: { run: "neg-demo-app" },
          affinity: { type: "GENERATED_COOKIE", ttlSec: 50 },
        });
        expect(findings.map(({ code }) => code)).toEqual(["GKE-C05", "GKE-B06", "GKE-A03", "GKE-C05"]);
      });
    });
  }
});

describe("the second post: a stand-alone NEG", () => {
  for (const { from, blocks } of textsOf("2025-sticky-session-in-kubernetes.md", "stand-alone-neg.md")) {
    const [config, service, sameService, ingress] = blocks;
    const one = [config, service, ingress].map((block) => block ?? "");

    describe(from.startsWith(SEEDS) ? "as written" : "as a fixture", () => {
      it("is refused in GKE's words, and not served", async () => {
        expect(blocks).toHaveLength(4);
        expect(sameService).toBe(service);
        await write(one);
        const { problems, objects } = await readManifests([folder]);
        expect(problems).toEqual([]);
        const { model, findings } = translate(objects);
        expect(model.loadBalancers).toEqual([]);
        expect(findings.filter(({ severity }) => severity === "error")).toMatchObject([
          {
            code: "GKE-N01",
            object: "Service default/socket-service",
            message:
              'service "default/socket-service" is type "ClusterIP", expected "NodePort" or "LoadBalancer" when not using NEGs',
            fix: expect.stringContaining('{"ingress": true}'),
            at: { file: join(folder, "2.yaml"), line: 6 },
            ingress: "default/socket-ingress",
          },
        ]);
      });

      it("names both places when both ways of writing the Service are given", async () => {
        await write(blocks);
        const { problems } = await readManifests([folder]);
        expect(problems).toMatchObject([{ code: "DUPLICATE_OBJECT", at: { file: join(folder, "3.yaml") } }]);
        expect(problems[0]?.message).toContain(`${join(folder, "2.yaml")}:1:1`);
      });

      it("serves its host once the annotation is mended", async () => {
        await write(one);
        const { objects, mends } = mend((await readManifests([folder])).objects);
        expect(mends).toMatchObject([
          {
            object: "Service default/socket-service",
            before: '{"exposed_ports": {"80":{"name": "NEG_NAME"}}}',
            after: '{"ingress": true}',
          },
        ]);
        const { model, findings } = translate(objects);
        expect(findings.map(({ code }) => code)).toEqual(["GKE-A03", "GKE-A06"]);
        expect(model.loadBalancers).toEqual([
          {
            name: "default/socket-ingress",
            face: "gce",
            urlMap: {
              hosts: [
                {
                  host: "socket.example.com",
                  paths: [{ path: "/*", backend: "default/socket-service:80" }],
                },
              ],
            },
            plainHttp: true,
            sessionAffinity: false,
          },
        ]);
      });
    });
  }
});
