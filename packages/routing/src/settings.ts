import { type Finding, finding } from "./finding.ts";
import type { Affinity, BackendService } from "./model.ts";
import type { BackendConfig } from "./objects.ts";
import { nameOf } from "./objects.ts";

/** What a BackendConfig decides of a backend service. */
export type BackendSettings = Pick<
  BackendService,
  "affinity" | "timeoutSec" | "drainingTimeoutSec" | "backendConfig"
>;

/** Without a BackendConfig: no affinity, GCE's default timeout of 30 s, no draining. */
export const DEFAULT_SETTINGS: BackendSettings = {
  affinity: { type: "NONE" },
  timeoutSec: 30,
  drainingTimeoutSec: 0,
};

const MAX_TTL_SEC = 86_400;
/** The Compute API's bound for `timeoutSec`. */
const MAX_TIMEOUT_SEC = 2_147_483_647;
const MAX_DRAINING_SEC = 3_600;
/** A cookie that ends sooner than this is likely to end within a session. */
const SHORT_TTL_SEC = 3_600;

/**
 * Settings and findings of one BackendConfig. The affinity texts are those of ingress-gce
 * `pkg/backendconfig/validation.go`; timeouts are checked by the Compute API only, whose bounds these are.
 */
export function settingsOf(config: BackendConfig): {
  readonly settings: BackendSettings;
  readonly findings: readonly Finding[];
} {
  const findings: Finding[] = [];
  const object = `BackendConfig ${nameOf(config)}`;
  const { sessionAffinity, timeoutSec, connectionDraining } = config.spec;
  const report = (code: Finding["code"], path: readonly string[], message: string) => {
    findings.push(finding(code, { object, message, at: config.source.locate(["spec", ...path]) }));
  };
  const refuse = (code: Finding["code"], path: readonly string[], why: string) =>
    report(code, path, `${object} is not valid: ${why}`);

  const type = sessionAffinity?.affinityType ?? "";
  const ttlSec = sessionAffinity?.affinityCookieTtlSec;
  const typePath = ["sessionAffinity", "affinityType"];
  const ttlPath = ["sessionAffinity", "affinityCookieTtlSec"];
  if (!["", "NONE", "CLIENT_IP", "GENERATED_COOKIE"].includes(type)) {
    refuse(
      "GKE-A01",
      typePath,
      `unsupported AffinityType: ${type}, should be one of NONE, CLIENT_IP, or GENERATED_COOKIE`,
    );
  }
  if (ttlSec !== undefined) {
    if (ttlSec < 0 || ttlSec > MAX_TTL_SEC) {
      refuse(
        "GKE-A02",
        ttlPath,
        `unsupported AffinityCookieTtlSec: ${ttlSec}, should be between 0 and ${MAX_TTL_SEC}`,
      );
    } else if (type !== "GENERATED_COOKIE") {
      report("GKE-A04", ttlPath, `affinityCookieTtlSec has no effect with affinityType "${type}"`);
    } else if (ttlSec > 0 && ttlSec < SHORT_TTL_SEC) {
      report(
        "GKE-A03",
        ttlPath,
        `the affinity cookie expires ${ttlSec} s after the first answer and is not renewed: a client may move to another pod in mid-session`,
      );
    }
  }
  if (timeoutSec !== undefined && (timeoutSec < 0 || timeoutSec > MAX_TIMEOUT_SEC)) {
    refuse(
      "GKE-T05",
      ["timeoutSec"],
      `timeoutSec is ${timeoutSec}, should be between 1 and ${MAX_TIMEOUT_SEC}`,
    );
  }
  const drainingSec = connectionDraining?.drainingTimeoutSec ?? DEFAULT_SETTINGS.drainingTimeoutSec;
  if (drainingSec < 0 || drainingSec > MAX_DRAINING_SEC) {
    refuse(
      "GKE-D01",
      ["connectionDraining", "drainingTimeoutSec"],
      `drainingTimeoutSec is ${drainingSec}, should be between 0 and ${MAX_DRAINING_SEC}`,
    );
  }
  if (config.apiVersion !== "cloud.google.com/v1") {
    findings.push(
      finding("GKE-C05", {
        object,
        message: `apiVersion ${config.apiVersion} is an old one`,
        fix: "Write `cloud.google.com/v1`; the fields are the same.",
        at: config.source.locate(["apiVersion"]),
      }),
    );
  }
  return {
    settings: {
      affinity: affinityOf(type, ttlSec ?? 0),
      // The Compute API takes 0 for "not set".
      timeoutSec: timeoutSec || DEFAULT_SETTINGS.timeoutSec,
      drainingTimeoutSec: drainingSec,
      backendConfig: config.metadata.name,
    },
    findings,
  };
}

function affinityOf(type: string, ttlSec: number): Affinity {
  switch (type) {
    case "GENERATED_COOKIE":
      return { type, ttlSec };
    case "CLIENT_IP":
      return { type };
    default:
      return { type: "NONE" };
  }
}
