import type { Cluster } from "./cluster.ts";
import { type Finding, type FindingCode, finding } from "./finding.ts";
import type { Certificate, LoadBalancer } from "./model.ts";
import { type Ingress, nameOf } from "./objects.ts";
import type { Uses } from "./uses.ts";

export const ALLOW_HTTP_ANNOTATION = "kubernetes.io/ingress.allow-http";
/** What names certificates and settings that live in Google Cloud. */
const GOOGLE_ONLY = [
  "ingress.gcp.kubernetes.io/pre-shared-cert",
  "networking.gke.io/managed-certificates",
  "networking.gke.io/v1beta1.FrontendConfig",
];

/** What a load balancer shows to its clients. */
export type Frontend = Pick<LoadBalancer, "plainHttp" | "certificates">;

/**
 * The certificates of an Ingress, in its order, and whether it serves plain HTTP. As on GKE a Secret that isn't there
 * is passed over with an event (certificates often come later, and their issuer may want to ask over HTTP first), and
 * one that holds no sound certificate is an error (ingress-gce `pkg/controller/controller.go` `toRuntimeInfo`).
 *
 * @param className the class of the Ingress
 */
export function buildFrontend(
  ingress: Ingress,
  className: string,
  cluster: Cluster,
  uses: Uses,
): { readonly frontend: Frontend; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const report = (code: FindingCode, path: readonly (string | number)[], message: string) => {
    const object = `Ingress ${nameOf(ingress)}`;
    findings.push(finding(code, { object, message, at: ingress.source.locate(path) }));
  };
  const { annotations, namespace } = ingress.metadata;
  const certificates = new Map<string, Certificate>();
  let missing = 0;
  for (const [index, { secretName }] of (ingress.spec.tls ?? []).entries()) {
    if (secretName === undefined) continue;
    const path = ["spec", "tls", index, "secretName"];
    const secret = uses.look(cluster, (one) => one.secret(`${namespace}/${secretName}`));
    if (secret === undefined) {
      missing += 1;
      report("GKE-L01", path, `Could not find TLS certificate: secrets "${secretName}" not found`);
      continue;
    }
    const read = cluster.certificate(secret);
    if (read.ok) certificates.set(read.certificate.name, read.certificate);
    else report("GKE-L03", path, read.message);
  }
  const broken = findings.some(({ severity }) => severity === "error");
  if (certificates.size === 0 && missing > 0 && !broken) {
    report(
      "GKE-L02",
      ["spec", "tls"],
      "Could not find any TLS certificates. Continuing setup for the load balancer to serve HTTP only. Note: this behavior is deprecated and will be removed in a future version of ingress-gce",
    );
  }
  for (const key of GOOGLE_ONLY) {
    if (annotations[key] === undefined) continue;
    const message = `${key} names something of Google Cloud's, and has no effect here`;
    report("GKE-L04", ["metadata", "annotations", key], message);
  }
  const plainHttp = !isFalse(annotations[ALLOW_HTTP_ANNOTATION]);
  const allowHttp = ["metadata", "annotations", ALLOW_HTTP_ANNOTATION];
  if (className === "gce-internal" && plainHttp && certificates.size > 0) {
    report(
      "GKE-L05",
      allowHttp,
      "gce-internal Ingress class does not currently support both HTTP and HTTPS served on the same IP (kubernetes.io/ingress.allow-http must be false when using HTTPS).",
    );
  }
  if (!plainHttp && certificates.size === 0) {
    report(
      "GKE-L06",
      allowHttp,
      "Will not configure frontend based on Ingress specification. Please check your usage of the 'kubernetes.io/ingress.allow-http' annotation.",
    );
  }
  return {
    frontend: {
      plainHttp,
      ...(certificates.size === 0 ? {} : { certificates: [...certificates.values()] }),
    },
    findings,
  };
}

/** As Go's `strconv.ParseBool` reads it; what it can't read counts as allowed. */
function isFalse(text: string | undefined): boolean {
  return text !== undefined && ["0", "f", "F", "false", "FALSE", "False"].includes(text);
}
