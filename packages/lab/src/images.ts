import { type Container, type Deployment, nameOf } from "@holdfast/routing";
import { type LabFinding, labFinding } from "./finding.ts";

/** The pod template annotation that says how to run a container's image on this machine. */
export const COMMAND_ANNOTATION = "holdfast.dev/command";

/** An image that the lab can run without being told how. */
export type BuiltInImage =
  /** A Node program: a script's path and its arguments. The container's `args` follow them. */
  | { readonly type: "node"; readonly argv: readonly string[] }
  /** The lab does this image's work itself, as `standIn` says in a few words; its Deployment is not run. */
  | { readonly type: "hosted"; readonly standIn: string };

/** How a pod is run. */
export type PodCommand =
  | { readonly type: "node"; readonly argv: readonly string[] }
  | { readonly type: "shell"; readonly command: string };

export type ImageResolution =
  | { readonly type: "run"; readonly command: PodCommand; readonly from: "flag" | "annotation" | "builtIn" }
  | { readonly type: "hosted"; readonly standIn: string }
  | { readonly type: "unknown"; readonly finding: LabFinding };

export interface ImageSources {
  /** By the last one or two segments of an image's path, such as `serve_hostname` or `holdfast/server`. */
  readonly builtIn: ReadonlyMap<string, BuiltInImage>;
  /** Commands from `--image NAME=COMMAND`, by name, with or without a tag. */
  readonly flags: ReadonlyMap<string, string>;
}

/**
 * What runs a container on this machine: a `--image` flag, else the pod's annotation, else a built-in image. Where
 * there is none the finding `IMAGE_UNKNOWN` names the Deployment, the image and the flag.
 */
export function resolveImage(
  container: Container,
  deployment: Deployment,
  sources: ImageSources,
): ImageResolution {
  const flag = flagFor(container.image, sources.flags);
  if (flag) return { type: "run", command: { type: "shell", command: flag.command }, from: "flag" };
  const annotation = deployment.spec.template.annotations[COMMAND_ANNOTATION];
  if (annotation !== undefined && annotation.trim() !== "") {
    return { type: "run", command: { type: "shell", command: annotation }, from: "annotation" };
  }
  const builtIn = builtInFor(container.image, sources.builtIn);
  if (builtIn?.type === "hosted") return { type: "hosted", standIn: builtIn.standIn };
  if (builtIn) return { type: "run", command: { type: "node", argv: builtIn.argv }, from: "builtIn" };
  return { type: "unknown", finding: imageUnknown(container, deployment, sources.builtIn) };
}

/** The name of the flag that speaks of an image, with its command: the exact image first, then without its tag. */
export function flagFor(
  image: string,
  flags: ReadonlyMap<string, string>,
): { readonly name: string; readonly command: string } | undefined {
  for (const name of [image, withoutTag(image)]) {
    const command = flags.get(name);
    if (command !== undefined) return { name, command };
  }
  return undefined;
}

/** `registry:5000/team/app:v1@sha256:…` without tag and digest. */
function withoutTag(image: string): string {
  const undigested = image.split("@", 1)[0] ?? image;
  const colon = undigested.lastIndexOf(":");
  return colon > undigested.lastIndexOf("/") ? undigested.slice(0, colon) : undigested;
}

function builtInFor(image: string, builtIn: ReadonlyMap<string, BuiltInImage>): BuiltInImage | undefined {
  const segments = withoutTag(image).split("/");
  return builtIn.get(segments.slice(-2).join("/")) ?? builtIn.get(segments.at(-1) ?? "");
}

function imageUnknown(
  container: Container,
  deployment: Deployment,
  builtIn: ReadonlyMap<string, BuiltInImage>,
): LabFinding {
  return labFinding("IMAGE_UNKNOWN", {
    object: `Deployment ${nameOf(deployment)}`,
    message: `the lab does not know how to run the image ${container.image} (built in: ${[...builtIn.keys()].join(", ")})`,
    fix: `pass --image '${withoutTag(container.image)}=COMMAND', or set the pod template annotation ${COMMAND_ANNOTATION}`,
    at: deployment.source.locate(["spec", "template", "spec", "containers", 0, "image"]),
  });
}
