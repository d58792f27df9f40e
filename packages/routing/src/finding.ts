import type { TextPosition } from "./objects.ts";

/**
 * Something a reader of the manifests should know. `error`: GKE would refuse the object and stop its sync, so it
 * is never served; `warning`: it is served, and likely not as meant; `info`: worth knowing.
 */
export interface Finding {
  /** Stable, such as `GKE-N01`; listed in docs/findings.md. */
  readonly code: FindingCode;
  readonly severity: Severity;
  /** Kind and `namespace/name`, such as `Service default/web`. */
  readonly object: string;
  /** What is wrong, in GKE's own words where it has some. */
  readonly message: string;
  /** What to write instead. */
  readonly fix: string;
  readonly at: TextPosition;
  /** `namespace/name` of the Ingress that isn't served because of this. Set on errors. */
  readonly ingress?: string;
}

export type Severity = "error" | "warning" | "info";
export type FindingCode = keyof typeof FINDINGS;

/** Every finding there is: how grave, what it means, and the fix when the finding itself has no closer one. */
export const FINDINGS = {
  "GKE-A01": {
    severity: "error",
    meaning: "`affinityType` is none of GKE's three; letter case counts.",
    fix: "Write `NONE`, `CLIENT_IP` or `GENERATED_COOKIE`.",
  },
  "GKE-A02": {
    severity: "error",
    meaning: "`affinityCookieTtlSec` is outside 0 to 86400.",
    fix: "Write 0 (the cookie lasts as long as the browser's session) or at most 86400.",
  },
  "GKE-A03": {
    severity: "warning",
    meaning:
      "The affinity cookie expires within the hour and is not renewed, so clients move in mid-session.",
    fix: "Write 0, or a time longer than the longest session.",
  },
  "GKE-A04": {
    severity: "warning",
    meaning: "`affinityCookieTtlSec` is set, and the affinity is not `GENERATED_COOKIE`: it has no effect.",
    fix: "Remove it, or set `affinityType: GENERATED_COOKIE`.",
  },
  "GKE-A06": {
    severity: "warning",
    meaning: "`sessionAffinity: ClientIP` of a Service has no effect behind an Ingress.",
    fix: "Set `sessionAffinity` in the Service's BackendConfig.",
  },
  "GKE-B01": {
    severity: "error",
    meaning: "The BackendConfig that a Service names is not in the Service's namespace.",
    fix: "Add the BackendConfig to the Service's namespace, or correct the name.",
  },
  "GKE-B02": {
    severity: "error",
    meaning: "The backend-config annotation is not JSON, or names no BackendConfig.",
    fix: 'Write `cloud.google.com/backend-config: \'{"default": "NAME"}\'`.',
  },
  "GKE-B03": {
    severity: "warning",
    meaning: "An annotation for a BackendConfig is on the Ingress, where it is never read.",
    fix: "Set `cloud.google.com/backend-config` on the Service.",
  },
  "GKE-B04": {
    severity: "warning",
    meaning:
      "The backend-config annotation has nothing for the port that the Ingress uses, so no BackendConfig applies.",
    fix: "Name the Service's port (its name or `port`, not `targetPort`), or write a `default`.",
  },
  "GKE-B05": {
    severity: "warning",
    meaning: "Both backend-config annotations are there and differ; the beta one is not read.",
    fix: "Delete `beta.cloud.google.com/backend-config`.",
  },
  "GKE-B06": {
    severity: "info",
    meaning: "Only the beta backend-config annotation is there; it works still.",
    fix: "Rename it to `cloud.google.com/backend-config`.",
  },
  "GKE-B08": {
    severity: "error",
    meaning: "`logging.sampleRate` is outside 0.0 to 1.0.",
    fix: "Write a number from 0.0 to 1.0.",
  },
  "GKE-B09": {
    severity: "info",
    meaning:
      "The BackendConfig uses something that only Google's network has (`iap`, `cdn`, `securityPolicy`, `logging`).",
    fix: "None needed; it works on GKE.",
  },
  "GKE-B10": {
    severity: "warning",
    meaning:
      "The BackendConfig has a field that its version doesn't know; Kubernetes drops it without a word.",
    fix: "Correct its name or its place, or remove it.",
  },
  "GKE-C01": {
    severity: "warning",
    meaning: "The Ingress is of a class that GKE ignores.",
    fix: 'Set the annotation `kubernetes.io/ingress.class` to "gce" (or to "holdfast").',
  },
  "GKE-C02": {
    severity: "warning",
    meaning:
      "`spec.ingressClassName` is set and the class annotation is not: GKE ignores the Ingress and says nothing.",
    fix: 'Replace the field by the annotation `kubernetes.io/ingress.class: "gce"` (or write `holdfast` in it).',
  },
  "GKE-C03": {
    severity: "warning",
    meaning:
      "Both the class annotation and `spec.ingressClassName` are set; Kubernetes refuses to create that.",
    fix: "Remove `spec.ingressClassName`.",
  },
  "GKE-C04": {
    severity: "warning",
    meaning: "The Ingress has an annotation of ingress-nginx, which nobody reads here.",
    fix: "Set `sessionAffinity`, `timeoutSec` and the like in the Service's BackendConfig; in class `holdfast` the annotations of docs/manifests.md are there too.",
  },
  "GKE-C05": {
    severity: "info",
    meaning: "The API version is an old one.",
    fix: "Write `networking.k8s.io/v1` for an Ingress, `cloud.google.com/v1` for a BackendConfig.",
  },
  "GKE-C06": {
    severity: "info",
    meaning:
      "The class is one of GKE's Envoy balancers (`gce-internal`, `gce-regional-external`), which is served as such: cookie `GCILB`, and a WebSocket's timeout is one of idleness.",
    fix: "None needed.",
  },
  "GKE-D01": {
    severity: "error",
    meaning: "`drainingTimeoutSec` is outside 0 to 3600.",
    fix: "Write at most 3600.",
  },
  "GKE-H02": {
    severity: "error",
    meaning:
      "`healthCheck.type` is none that a BackendConfig takes; `TCP` is taken in class `holdfast` only.",
    fix: "Write `HTTP`, `HTTPS` or `HTTP2`.",
  },
  "GKE-H03": {
    severity: "error",
    meaning:
      "A value of `healthCheck` is out of its bounds, or `timeoutSec` is above `checkIntervalSec` (both are 15 unless set or adopted from a readiness probe).",
    fix: "Write values within the bounds, and both `timeoutSec` and `checkIntervalSec`.",
  },
  "GKE-L01": {
    severity: "warning",
    meaning: "A Secret that an Ingress names for TLS is not there.",
    fix: "Add the Secret to the Ingress's namespace, or correct the name.",
  },
  "GKE-L02": {
    severity: "warning",
    meaning: "None of the Secrets that an Ingress names for TLS is there: it is served over plain HTTP only.",
    fix: "Add a Secret of type `kubernetes.io/tls` to the Ingress's namespace.",
  },
  "GKE-L03": {
    severity: "error",
    meaning: "A Secret for TLS holds no certificate and key in PEM that belong together.",
    fix: "Make it anew: `kubectl create secret tls NAME --cert=FILE --key=FILE`.",
  },
  "GKE-L04": {
    severity: "info",
    meaning: "The Ingress names a certificate or settings that live in Google Cloud.",
    fix: "None needed; it works on GKE. For HTTPS here, name a Secret in `spec.tls`.",
  },
  "GKE-L05": {
    severity: "error",
    meaning: "An Ingress of class `gce-internal` can't serve both HTTP and HTTPS.",
    fix: 'Set the annotation `kubernetes.io/ingress.allow-http: "false"`, or remove `spec.tls`.',
  },
  "GKE-L06": {
    severity: "warning",
    meaning: "Plain HTTP is not allowed and there is no certificate, so nothing is listened on.",
    fix: "Name a Secret in `spec.tls`, or remove `kubernetes.io/ingress.allow-http`.",
  },
  "GKE-N01": {
    severity: "error",
    meaning: "A Service that is neither NodePort nor LoadBalancer has no NEG for its Ingress.",
    fix: "Set the annotation `cloud.google.com/neg: '{\"ingress\": true}'`.",
  },
  "GKE-N02": {
    severity: "error",
    meaning: "The NEG annotation gives a name of its own to a NEG that is made for an Ingress.",
    fix: "Set the annotation `cloud.google.com/neg: '{\"ingress\": true}'`, without a name.",
  },
  "GKE-N03": {
    severity: "error",
    meaning: "The NEG annotation exposes a port that the Service doesn't have.",
    fix: "Name one of the Service's ports, or drop `exposed_ports`.",
  },
  "GKE-N04": {
    severity: "warning",
    meaning: "Affinity is configured and the Service has no NEG: on GKE it ends at the node, not at the pod.",
    fix: "Set the annotation `cloud.google.com/neg: '{\"ingress\": true}'`.",
  },
  "GKE-N05": {
    severity: "error",
    meaning:
      "The NEG annotation is not valid JSON of the right types, so GKE takes the Service for one without NEGs.",
    fix: "Write `cloud.google.com/neg: '{\"ingress\": true}'`.",
  },
  "GKE-N07": {
    severity: "info",
    meaning:
      "A ClusterIP Service has no NEG annotation; a VPC-native GKE cluster adds it, others refuse the Service.",
    fix: "Write it out: `cloud.google.com/neg: '{\"ingress\": true}'`.",
  },
  "GKE-N08": {
    severity: "warning",
    meaning:
      "The NEG annotation of a NodePort or LoadBalancer Service is invalid: it is served through the nodes.",
    fix: "Write `cloud.google.com/neg: '{\"ingress\": true}'`.",
  },
  "GKE-N09": {
    severity: "error",
    meaning: "A Service with IPv6 addresses only can have no NEG.",
    fix: "Give the Service IPv4 too, or use class `holdfast`.",
  },
  "GKE-P01": {
    severity: "warning",
    meaning: "A path that ends in `/` matches only itself unless its `pathType` is `Prefix`.",
    fix: "Write `pathType: Prefix`, or end the path in `/*`.",
  },
  "GKE-P03": {
    severity: "error",
    meaning: "GKE can make no rule of the path and its `pathType`.",
    fix: "Start the path with `/`; use `*` only with `ImplementationSpecific`, at the end, after a `/`.",
  },
  "GKE-P04": {
    severity: "warning",
    meaning: "A host or a path occurs twice in an Ingress; the last one wins and nothing says so.",
    fix: "Keep one of them; put all paths of a host under one rule.",
  },
  "GKE-P05": {
    severity: "warning",
    meaning: "A rule has no `http`, so it is passed over.",
    fix: "Give it paths, or remove it.",
  },
  "GKE-P06": {
    severity: "info",
    meaning: "A wildcard host matches any number of labels on GKE; Kubernetes means one.",
    fix: "Name the hosts where that matters.",
  },
  "GKE-P07": {
    severity: "warning",
    meaning: "Two Ingresses have the same host; on GKE they are two load balancers with two addresses.",
    fix: "Put the rules into one Ingress.",
  },
  "GKE-P08": {
    severity: "error",
    meaning: "The Service of a backend, or its port, can't be found.",
    fix: "Correct the name or the port, or add the Service to the Ingress's namespace.",
  },
  "GKE-P10": {
    severity: "error",
    meaning: "A backend is not a Service.",
    fix: "Write `service` with `name` and `port`.",
  },
  "GKE-R01": {
    severity: "error",
    meaning:
      "A custom header can't be sent: its name or value is invalid, it is one that the balancer itself sets, or there are too many.",
    fix: "Write `Name:value`, at most 50 of a kind, and none that frames a message or belongs to a connection.",
  },
  "GKE-R02": {
    severity: "warning",
    meaning: "A custom header uses a variable of Google's network, which is empty here.",
    fix: "None needed if the pods can do without.",
  },
  "GKE-S01": {
    severity: "info",
    meaning: "The Service's port speaks HTTPS or HTTP2; Holdfast speaks HTTP/1.1 to it.",
    fix: "Use `HTTP` where WebSockets are served: they don't work over HTTP2 on GKE either.",
  },
  "GKE-S02": {
    severity: "error",
    meaning: "A BackendConfig enables both `iap` and `cdn`.",
    fix: "Enable one of them.",
  },
  "GKE-S05": {
    severity: "error",
    meaning: "The app-protocols annotation is not JSON, or names an unknown protocol.",
    fix: 'Write such as `cloud.google.com/app-protocols: \'{"PORT-NAME": "HTTP"}\'`.',
  },
  "GKE-T05": {
    severity: "error",
    meaning: "`timeoutSec` is outside 1 to 2147483647.",
    fix: "Write a number of seconds; WebSockets live no longer than it.",
  },
  "HF-A01": {
    severity: "warning",
    meaning: "An Ingress has an annotation `holdfast.dev/…` that doesn't exist.",
    fix: "Correct its name, or remove it.",
  },
  "HF-A02": {
    severity: "error",
    meaning: "The value of an annotation `holdfast.dev/…` is none that it takes.",
    fix: "Write a value from the table in docs/manifests.md.",
  },
  "HF-A03": {
    severity: "warning",
    meaning: "An annotation `holdfast.dev/…` has no effect here.",
    fix: "Remove it, or use class `holdfast` (for `cookie-…`, affinity `cookie`).",
  },
} as const satisfies Record<
  string,
  { readonly severity: Severity; readonly meaning: string; readonly fix: string }
>;

/** A finding with its code's severity, and its code's fix unless a closer one is given. */
export function finding(
  code: FindingCode,
  about: Omit<Finding, "code" | "severity" | "fix"> & { readonly fix?: string },
): Finding {
  const { severity, fix } = FINDINGS[code];
  return {
    code,
    severity,
    ...about,
    message: printable(about.message),
    fix: printable(about.fix ?? fix),
  };
}

/** A text out of a manifest, fit for a terminal: control and formatting characters are written as escapes. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
