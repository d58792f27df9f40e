import type { Face } from "./model.ts";

/** The URL-map paths that an Ingress path stands for, or why there are none. */
export type ExpandedPath =
  | { readonly ok: true; readonly paths: readonly string[] }
  | { readonly ok: false; readonly message: string };

/**
 * Ingress path to URL-map paths, with GKE's error texts (ingress-gce `pkg/controller/translator/translator.go`
 * `validateAndGetPaths`). No pathType means `ImplementationSpecific`. GKE takes such a path as it is, so `/foo` matches
 * `/foo` alone and only `/foo/*` matches what is below; in face `holdfast` one that ends in no `/*` is a `Prefix`. What
 * the Compute API or Kubernetes itself refuses is refused here too.
 */
export function expandPath(
  pathType: string | undefined,
  path: string | undefined,
  face: Face = "gce",
): ExpandedPath {
  const text = path ?? "";
  switch (pathType) {
    case undefined:
    case "ImplementationSpecific":
      return implementationSpecific(text, face);
    case "Exact":
      return checked("exact", text) ?? { ok: true, paths: [text] };
    case "Prefix":
      return checked("prefix", text) ?? { ok: true, paths: prefixPaths(text) };
    default:
      return { ok: false, message: `unsupported path type: ${pathType}` };
  }
}

function implementationSpecific(path: string, face: Face): ExpandedPath {
  if (path === "") return { ok: true, paths: ["/*"] };
  if (!path.startsWith("/")) return notAbsolute(path);
  const star = path.indexOf("*");
  if (star !== -1 && !(star === path.length - 1 && path.endsWith("/*"))) {
    return {
      ok: false,
      message: `invalid path ${path}: the only place a * is allowed is at the end following a /`,
    };
  }
  return { ok: true, paths: face === "holdfast" && star === -1 ? prefixPaths(path) : [path] };
}

function checked(type: "exact" | "prefix", path: string): ExpandedPath | undefined {
  if (path === "") return { ok: false, message: `failed to validate ${type} path type due to empty path` };
  if (path.includes("*")) {
    return { ok: false, message: `failed to validate ${type} path ${path} due to invalid wildcard` };
  }
  return path.startsWith("/") ? undefined : notAbsolute(path);
}

function prefixPaths(path: string): string[] {
  if (path === "/") return ["/*"];
  const stem = path.endsWith("/") ? path.slice(0, -1) : path;
  return [stem, `${stem}/*`];
}

function notAbsolute(path: string): ExpandedPath {
  return { ok: false, message: `invalid path ${path}: must be an absolute path` };
}
