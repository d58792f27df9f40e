import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubernetesObject } from "@holdfast/routing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readManifests } from "./read-manifests.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "holdfast-manifests-"));
});
afterEach(() => rm(folder, { recursive: true }));

function namespace(name: string): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name} }\n`;
}

function specOf(object: KubernetesObject | undefined): unknown {
  return object && "spec" in object ? object.spec : undefined;
}

async function put(path: string, content: string | Uint8Array): Promise<string> {
  const file = join(folder, path);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, content);
  return file;
}

async function names(paths: readonly string[], options = {}): Promise<string[]> {
  const { objects, problems } = await readManifests(paths, options);
  expect(problems).toEqual([]);
  return objects.map(({ metadata }) => metadata.name);
}

describe("where manifests are read from", () => {
  it("reads a folder with all below it, sorted, and only what is named as a manifest", async () => {
    await put("b.yml", namespace("b"));
    await put("a.yaml", namespace("a"));
    await put(
      "c/d.json",
      '{\n\t"apiVersion": "v1",\n\t"kind": "Namespace",\n\t"metadata": { "name": "d" }\n}',
    );
    await put("readme.txt", "not: [read");
    await put(".hidden/x.yaml", "not: [read");
    await put("node_modules/x.yaml", "not: [read");
    expect(await names([folder])).toEqual(["a", "b", "d"]);
  });

  it("reads a file that is named whatever it is called, in the order given, and once", async () => {
    const b = await put("b.txt", namespace("b"));
    const a = await put("a.yaml", namespace("a"));
    expect(await names([b, folder, a])).toEqual(["b", "a"]);
  });

  it("reads - from the text given", async () => {
    expect(await names(["-", "-"], { stdin: namespace("in") })).toEqual(["in"]);
    const { problems } = await readManifests(["-"], { stdin: "kind: Service" });
    expect(problems).toMatchObject([{ code: "NOT_KUBERNETES", at: { file: "<stdin>", line: 1, column: 1 } }]);
  });

  it("follows links to files, as a mounted ConfigMap has them, and no links to folders", async () => {
    const real = await put("real/a.yaml", namespace("a"));
    await symlink(real, join(folder, "link.yaml"));
    await symlink(folder, join(folder, "real", "loop"));
    expect(await names([folder])).toEqual(["a"]);
  });

  it("takes a byte order mark and Windows line ends", async () => {
    await put("a.yaml", `\uFEFF${namespace("a").replaceAll("\n", "\r\n")}`);
    expect(await names([folder])).toEqual(["a"]);
  });

  it("reports every source that can't be read, and reads the others", async () => {
    const missing = join(folder, "missing.yaml");
    await put("a-utf16.yaml", Buffer.from("\uFEFFkind: Service", "utf16le"));
    await put("b-large.yaml", "#".repeat(2_000));
    await put("c.yaml", namespace("c"));
    const { objects, problems } = await readManifests([missing, folder, "/dev/null/x"], {
      maxFileBytes: 1_999,
    });
    expect(problems.map(({ code, at }) => [code, at])).toEqual([
      ["PATH_NOT_FOUND", { file: missing }],
      ["FILE_NOT_TEXT", { file: join(folder, "a-utf16.yaml") }],
      ["FILE_TOO_LARGE", { file: join(folder, "b-large.yaml") }],
      ["PATH_NOT_FOUND", { file: "/dev/null/x" }],
    ]);
    expect(objects.map(({ metadata }) => metadata.name)).toEqual(["c"]);
  });

  it("reads no more of an endless device than the limit", async () => {
    const { problems } = await readManifests(["/dev/zero"], { maxFileBytes: 10_000 });
    expect(problems.map(({ code }) => code)).toEqual(["FILE_TOO_LARGE"]);
  });

  it.each([{ maxFiles: 2 }, { maxTotalBytes: 80 }])("stops at the limit %j", async (limits) => {
    for (const name of ["a", "b", "c"]) await put(`${name}.yaml`, namespace(name));
    const { objects, problems } = await readManifests([folder], limits);
    expect(objects).toHaveLength(2);
    expect(problems).toMatchObject([{ code: "TOO_MANY_FILES", at: { file: join(folder, "c.yaml") } }]);
  });

  it("says so where there is nothing to read", async () => {
    await put("a.yaml", "# nothing\n---\n");
    const { problems } = await readManifests([folder]);
    expect(problems).toMatchObject([{ code: "NO_OBJECTS", at: { file: folder } }]);
  });

  it("refuses options that it doesn't know, or of a wrong type", async () => {
    await expect(readManifests([], { mends: true } as object)).rejects.toThrow("unknown option mends");
    await expect(readManifests([], { mend: "yes" } as object)).rejects.toThrow(
      "option mend has to be a boolean",
    );
    await expect(readManifests([], { maxFiles: 0 })).rejects.toThrow("a whole number above 0");
  });
});

describe("what is read", () => {
  const read = (stdin: string) => readManifests(["-"], { stdin });

  it("fills in Kubernetes' defaults", async () => {
    const { objects } = await read(`
apiVersion: v1
kind: Service
metadata: { name: web, labels: null }
spec: { ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: web }] } }
`);
    expect(objects[0]).toMatchObject({
      metadata: { name: "web", namespace: "default", labels: {}, annotations: {} },
      spec: { type: "ClusterIP", selector: {}, ports: [{ port: 80, targetPort: 80, protocol: "TCP" }] },
    });
    expect(specOf(objects[1])).toEqual({
      replicas: 1,
      selector: { app: "web" },
      template: {
        labels: { app: "web" },
        annotations: {},
        terminationGracePeriodSeconds: 30,
        containers: [{ name: "web", image: "web", ports: [], env: [] }],
      },
    });
  });

  it("reads a container's environment from wherever it comes", async () => {
    const { objects, problems } = await read(`
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: web
          image: web
          command: [node]
          args: [a, b]
          env:
            - { name: A, value: "1" }
            - { name: EMPTY }
            - { name: B, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
            - { name: C, valueFrom: { secretKeyRef: { name: s, key: k } } }
            - { name: D, valueFrom: { configMapKeyRef: { name: m, key: k } } }
            - { name: E, valueFrom: { resourceFieldRef: { resource: limits.cpu } } }
          envFrom:
            - { prefix: P_, configMapRef: { name: m } }
            - { secretRef: { name: s } }
`);
    expect(problems).toEqual([]);
    expect(objects[0]).toMatchObject({
      spec: {
        template: {
          containers: [
            {
              command: ["node"],
              args: ["a", "b"],
              env: [
                { type: "reference", name: "P_*", kind: "ConfigMap", from: "m" },
                { type: "reference", name: "*", kind: "Secret", from: "s" },
                { type: "value", name: "A", value: "1" },
                { type: "value", name: "EMPTY", value: "" },
                { type: "field", name: "B", fieldPath: "metadata.name" },
                { type: "reference", name: "C", kind: "Secret", from: "s/k" },
                { type: "reference", name: "D", kind: "ConfigMap", from: "m/k" },
                { type: "reference", name: "E", kind: "resource", from: "limits.cpu" },
              ],
            },
          ],
        },
      },
    });
  });

  it("finds the place of a field, of its nearest parent where it is absent, and through an old shape", async () => {
    const { objects } = await read(`apiVersion: v1
kind: List
items:
  - apiVersion: extensions/v1beta1
    kind: Ingress
    metadata:
      name: site
    spec:
      backend:
        serviceName: web
        servicePort: 80
      rules:
        - http:
            paths:
              - backend: { serviceName: api, servicePort: http }
`);
    const source = objects[0]?.source;
    const at = (...path: (string | number)[]) => {
      const { line, column } = source?.locate(path) ?? {};
      return [line, column];
    };
    expect(source?.line).toBe(4);
    expect(at("metadata", "name")).toEqual([7, 13]);
    expect(at("metadata", "annotations", "x")).toEqual([7, 7]);
    expect(at("spec", "defaultBackend", "service", "name")).toEqual([10, 22]);
    expect(at("spec", "defaultBackend", "service", "port", "number")).toEqual([11, 22]);
    expect(at("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name")).toEqual([15, 41]);
    expect(specOf(objects[0])).toEqual({
      defaultBackend: { service: { name: "web", port: { number: 80 } } },
      rules: [{ paths: [{ backend: { service: { name: "api", port: { name: "http" } } } }] }],
    });
  });

  it("keeps the keys of Object.prototype as what they are: labels like any other", async () => {
    const { objects, problems } = await read(`
apiVersion: v1
kind: Service
__proto__: { polluted: true }
metadata:
  name: web
  labels: { __proto__: x, constructor: y, toString: z }
  annotations: { __proto__: x }
spec: { selector: { __proto__: { polluted: true } } }
`);
    expect(problems).toMatchObject([{ code: "FIELD_INVALID", at: { line: 9, column: 32 } }]);
    expect(objects).toEqual([]);
    const sound = await read(
      "{apiVersion: v1, kind: Service, metadata: {name: a, labels: {__proto__: x, toString: z}}, spec: {}}",
    );
    const labels = sound.objects[0]?.metadata.labels ?? {};
    expect(Object.entries(labels)).toEqual([
      ["__proto__", "x"],
      ["toString", "z"],
    ]);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each(["constructor", "__proto__", "toString"])("passes over a kind called %s", async (kind) => {
    const { passedOver } = await read(`{apiVersion: v1, kind: ${kind}, metadata: {name: a}}`);
    expect(passedOver).toMatchObject([{ kind, name: "a" }]);
    const { problems } = await read(`{apiVersion: ${kind}, kind: Service, metadata: {name: a}}`);
    expect(problems).toMatchObject([{ code: "VERSION_UNSUPPORTED" }]);
  });

  it("shows a hundred problems of a file and counts the rest", async () => {
    const { problems } = await read("---\nno\n".repeat(150));
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)).toMatchObject({
      code: "TOO_MANY_PROBLEMS",
      message: "50 more problems in this file",
    });
  });

  it("hides no field's problem behind another object's", async () => {
    const { problems } = await read(`
{apiVersion: v1, kind: Namespace, metadata: {name: 1}}
---
{apiVersion: cloud.google.com/v1, kind: BackendConfig, metadata: {name: a}, spec: {timeoutSec: 1.5}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {rules: {}}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: b}, spec: {rules: [{host: "a:80"}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 80, targetPort: "3000"}]}}
`);
    expect(problems.at(-1)?.fix).toBe("Write targetPort: 3000, without quotes.");
    expect(problems.map(({ message }) => message)).toEqual([
      "Namespace (no name): metadata.name: expected a name made of a-z, 0-9, dots and dashes, got the number 1",
      "BackendConfig a: spec.timeoutSec: expected a whole number, got the number 1.5",
      "Ingress a: spec.rules: expected a list, got a mapping",
      'Ingress b: spec.rules[0].host: expected a lower-case host name, or "*." and one, got the string "a:80"',
      "Service a: spec: expected a mapping, got nothing",
      `Service b: spec.ports[0].targetPort: expected a port number from 1 to 65535, or a port's name, got the string "3000"`,
    ]);
  });
});
