import { describe, expect, test } from "vitest";
import { deployment } from "../test/objects.ts";
import { type BuiltInImage, COMMAND_ANNOTATION, resolveImage } from "./images.ts";

const builtIn = new Map<string, BuiltInImage>([
  ["serve_hostname", { type: "node", argv: ["serve-hostname.js"] }],
  ["holdfast/server", { type: "node", argv: ["main.js", "server"] }],
  ["holdfast/broker", { type: "hosted", standIn: "the lab's own broker" }],
]);

function resolve(
  image: string,
  flags: Record<string, string> = {},
  annotations: Record<string, string> = {},
) {
  const object = deployment("web", { container: { image }, annotations });
  const [container] = object.spec.template.containers;
  if (!container) throw new Error("no container");
  return resolveImage(container, object, { builtIn, flags: new Map(Object.entries(flags)) });
}

describe("resolveImage", () => {
  test.each([
    "serve_hostname",
    "k8s.gcr.io/serve_hostname:v1.4",
    "registry.example.com:5000/a/b/serve_hostname@sha256:0123",
  ])("knows serve_hostname in any registry and with any tag: %s", (image) => {
    expect(resolve(image)).toMatchObject({ type: "run", command: { argv: ["serve-hostname.js"] } });
  });

  test.each(["holdfast/server", "europe-docker.pkg.dev/project/holdfast/server:0.1.0"])(
    "knows Holdfast's own images in any registry: %s",
    (image) => {
      expect(resolve(image)).toMatchObject({ type: "run", command: { argv: ["main.js", "server"] } });
    },
  );

  test("does not take an image for Holdfast's own by its last segment alone", () => {
    expect(resolve("acme/server:1").type).toBe("unknown");
  });

  test("does not run an image whose work the lab does itself", () => {
    expect(resolve("holdfast/broker:1")).toEqual({ type: "hosted", standIn: "the lab's own broker" });
  });

  test.each(["acme/chat", "acme/chat:v2"])("takes a flag's name with or without a tag: %s", (name) => {
    expect(resolve("acme/chat:v2", { [name]: "node app.js" })).toEqual({
      type: "run",
      command: { type: "shell", command: "node app.js" },
      from: "flag",
    });
  });

  test("does not take a flag for another tag or another image", () => {
    expect(resolve("acme/chat:v2", { "acme/chat:v1": "x", chat: "x" }).type).toBe("unknown");
  });

  test("reads a registry's port as no tag", () => {
    expect(resolve("localhost:5000/chat", { "localhost:5000/chat": "x" }).type).toBe("run");
  });

  test("prefers the flag to the annotation, and the annotation to what is built in", () => {
    const annotations = { [COMMAND_ANNOTATION]: "annotated" };
    expect(resolve("serve_hostname:1", { serve_hostname: "flagged" }, annotations)).toMatchObject({
      from: "flag",
    });
    expect(resolve("serve_hostname:1", {}, annotations)).toMatchObject({ from: "annotation" });
  });

  test("names the Deployment, the image and the flag when nobody says how to run it", () => {
    expect(resolve("acme/chat:v2")).toMatchObject({
      type: "unknown",
      finding: {
        code: "IMAGE_UNKNOWN",
        severity: "error",
        object: "Deployment default/web",
        message: expect.stringContaining("acme/chat:v2"),
        fix: expect.stringContaining("--image 'acme/chat=COMMAND'"),
        at: { file: "test.yaml" },
      },
    });
  });
});
