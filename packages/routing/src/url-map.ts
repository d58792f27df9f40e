import { type Finding, type FindingCode, finding } from "./finding.ts";
import type { BackendServiceId, Face, HostRule, PathRule, UrlMap } from "./model.ts";
import { type Ingress, type IngressBackend, type IngressPath, nameOf } from "./objects.ts";
import { expandPath } from "./path.ts";

type Path = readonly (string | number)[];

/** Gives the backend service of a Service backend, or undefined after having reported why there is none. */
export type ResolveBackend = (
  backend: NonNullable<IngressBackend["service"]>,
  path: Path,
) => BackendServiceId | undefined;

/**
 * The URL map of one Ingress, as ingress-gce builds it (`translator.go` `TranslateIngress`, `gceurlmap.go`): a host
 * that comes again replaces the earlier one and takes its place at the end; of a path that comes again within a
 * host, the last one stays. In face `holdfast` a host that comes again adds its paths, as Kubernetes has it, and an
 * exact path counts before the same one of a prefix. Goes on after an error, so that all of them are reported.
 */
export function buildUrlMap(
  ingress: Ingress,
  face: Face,
  resolve: ResolveBackend,
): { readonly urlMap: UrlMap; readonly findings: readonly Finding[] } {
  const builder = new UrlMapBuilder(ingress, face, resolve);
  return { urlMap: builder.build(), findings: builder.findings };
}

interface Target {
  readonly id: BackendServiceId;
  readonly exact: boolean;
}

class UrlMapBuilder {
  readonly findings: Finding[] = [];
  readonly #ingress: Ingress;
  readonly #face: Face;
  readonly #resolve: ResolveBackend;
  readonly #hosts = new Map<string, Map<string, Target>>();

  constructor(ingress: Ingress, face: Face, resolve: ResolveBackend) {
    this.#ingress = ingress;
    this.#face = face;
    this.#resolve = resolve;
  }

  build(): UrlMap {
    const { rules, defaultBackend } = this.#ingress.spec;
    for (const [index, rule] of rules.entries()) {
      const at = ["spec", "rules", index];
      if (rule.paths === undefined) {
        this.#report(
          "GKE-P05",
          at,
          `the rule for host "${rule.host ?? ""}" has no http, so it is passed over`,
        );
        continue;
      }
      this.#addRule((rule.host ?? "").toLowerCase() || "*", rule.paths, at);
    }
    const byDefault = defaultBackend && this.#backend(defaultBackend, ["spec", "defaultBackend"]);
    const hosts = Array.from(
      this.#hosts,
      ([host, paths]): HostRule => ({
        host,
        paths: Array.from(paths, ([path, { id }]): PathRule => ({ path, backend: id })),
      }),
    );
    return {
      hosts,
      ...(byDefault === undefined ? {} : { defaultBackend: byDefault }),
      ...(this.#face === "holdfast" ? { oneLabelWildcards: true } : {}),
    };
  }

  #addRule(host: string, paths: readonly IngressPath[], at: Path): void {
    const holdfast = this.#face === "holdfast";
    const earlier = this.#hosts.get(host);
    const targets = (holdfast ? earlier : undefined) ?? new Map<string, Target>();
    for (const [index, path] of paths.entries())
      this.#addPath(targets, path, [...at, "http", "paths", index]);
    if (earlier !== undefined && !holdfast) {
      const message = `host ${host} occurs twice; this rule replaces the earlier one with all its paths`;
      this.#report("GKE-P04", at, message);
      this.#hosts.delete(host);
    }
    if (host.startsWith("*.") && !holdfast) {
      const message = `host ${host} matches any number of labels, such as a.b${host.slice(1)}`;
      this.#report("GKE-P06", [...at, "host"], message);
    }
    this.#hosts.set(host, targets);
  }

  #addPath(targets: Map<string, Target>, { path, pathType, backend }: IngressPath, at: Path): void {
    const id = this.#backend(backend, [...at, "backend"]);
    const expanded = expandPath(pathType, path, this.#face);
    if (!expanded.ok) {
      this.#report("GKE-P03", [...at, pathTypeIsUnknown(pathType) ? "pathType" : "path"], expanded.message);
      return;
    }
    if (this.#face !== "holdfast" && isTrap(pathType, path)) {
      this.#report("GKE-P01", [...at, "path"], `path ${path} matches "${path}" alone and nothing below it`);
    }
    if (id === undefined) return;
    const exact = this.#face === "holdfast" && pathType === "Exact";
    for (const one of expanded.paths) {
      const earlier = targets.get(one);
      if (earlier !== undefined && earlier.exact !== exact) {
        if (earlier.exact) continue;
      } else if (earlier !== undefined && earlier.id !== id) {
        this.#report("GKE-P04", [...at, "path"], `path ${one} occurs twice; ${id} replaces ${earlier.id}`);
      }
      targets.delete(one);
      targets.set(one, { id, exact });
    }
  }

  #backend(backend: IngressBackend, path: Path): BackendServiceId | undefined {
    if (backend.service !== undefined) return this.#resolve(backend.service, [...path, "service"]);
    this.#report("GKE-P10", path, "Ingress Backend is not a service");
    return undefined;
  }

  #report(code: FindingCode, path: Path, message: string): void {
    const object = `Ingress ${nameOf(this.#ingress)}`;
    this.findings.push(finding(code, { object, message, at: this.#ingress.source.locate(path) }));
  }
}

function pathTypeIsUnknown(pathType: string | undefined): boolean {
  return pathType !== undefined && !["ImplementationSpecific", "Exact", "Prefix"].includes(pathType);
}

/** Whether a path looks like a prefix to its writer and is none. */
function isTrap(pathType: string | undefined, path: string | undefined): boolean {
  return (pathType ?? "ImplementationSpecific") === "ImplementationSpecific" && path?.endsWith("/") === true;
}
