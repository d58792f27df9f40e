import { type Finding, type FindingCode, finding } from "./finding.ts";
import type { BackendServiceId, HostRule, PathRule, UrlMap } from "./model.ts";
import { type Ingress, type IngressBackend, nameOf } from "./objects.ts";
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
 * host, the last one stays. Goes on after an error, so that all of them are reported.
 */
export function buildUrlMap(
  ingress: Ingress,
  resolve: ResolveBackend,
): { readonly urlMap: UrlMap; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const object = `Ingress ${nameOf(ingress)}`;
  const report = (code: FindingCode, path: Path, message: string) => {
    findings.push(finding(code, { object, message, at: ingress.source.locate(path) }));
  };
  const resolveAny = (backend: IngressBackend, path: Path) => {
    if (backend.service !== undefined) return resolve(backend.service, [...path, "service"]);
    report("GKE-P10", path, "Ingress Backend is not a service");
    return undefined;
  };

  const hosts = new Map<string, HostRule>();
  for (const [index, rule] of ingress.spec.rules.entries()) {
    const at = ["spec", "rules", index];
    if (rule.paths === undefined) {
      report("GKE-P05", at, `the rule for host "${rule.host ?? ""}" has no http, so it is passed over`);
      continue;
    }
    const paths = new Map<string, BackendServiceId>();
    for (const [pathIndex, { path, pathType, backend }] of rule.paths.entries()) {
      const pathAt = [...at, "http", "paths", pathIndex];
      const id = resolveAny(backend, [...pathAt, "backend"]);
      const expanded = expandPath(pathType, path);
      if (!expanded.ok) {
        report("GKE-P03", [...pathAt, pathTypeIsUnknown(pathType) ? "pathType" : "path"], expanded.message);
        continue;
      }
      if (isTrap(pathType, path)) {
        report("GKE-P01", [...pathAt, "path"], `path ${path} matches "${path}" alone and nothing below it`);
      }
      if (id === undefined) continue;
      for (const one of expanded.paths) {
        const earlier = paths.get(one);
        if (earlier !== undefined && earlier !== id) {
          report("GKE-P04", [...pathAt, "path"], `path ${one} occurs twice; ${id} replaces ${earlier}`);
        }
        paths.delete(one);
        paths.set(one, id);
      }
    }
    const host = (rule.host ?? "").toLowerCase() || "*";
    if (hosts.delete(host)) {
      report(
        "GKE-P04",
        at,
        `host ${host} occurs twice; this rule replaces the earlier one with all its paths`,
      );
    }
    if (host.startsWith("*.")) {
      report(
        "GKE-P06",
        [...at, "host"],
        `host ${host} matches any number of labels, such as a.b${host.slice(1)}`,
      );
    }
    hosts.set(host, { host, paths: Array.from(paths, ([path, backend]): PathRule => ({ path, backend })) });
  }

  const { defaultBackend } = ingress.spec;
  const byDefault = defaultBackend && resolveAny(defaultBackend, ["spec", "defaultBackend"]);
  return {
    urlMap: { hosts: [...hosts.values()], ...(byDefault === undefined ? {} : { defaultBackend: byDefault }) },
    findings,
  };
}

function pathTypeIsUnknown(pathType: string | undefined): boolean {
  return pathType !== undefined && !["ImplementationSpecific", "Exact", "Prefix"].includes(pathType);
}

/** Whether a path looks like a prefix to its writer and is none. */
function isTrap(pathType: string | undefined, path: string | undefined): boolean {
  return (pathType ?? "ImplementationSpecific") === "ImplementationSpecific" && path?.endsWith("/") === true;
}
