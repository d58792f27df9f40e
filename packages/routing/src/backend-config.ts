import { type Finding, type FindingCode, finding } from "./finding.ts";
import { parseHeader } from "./header-field.ts";
import type { Face, HeaderField } from "./model.ts";
import { type BackendConfig, nameOf } from "./objects.ts";
import type { DeclaredSettings } from "./settings.ts";

type Report = (code: FindingCode, path: readonly (string | number)[], message: string) => void;

const MAX_TTL_SEC = 86_400;
/** The Compute API's bound for `timeoutSec`. */
const MAX_TIMEOUT_SEC = 2_147_483_647;
const MAX_DRAINING_SEC = 3_600;
/** A cookie that ends sooner than this is likely to end within a session. */
const SHORT_TTL_SEC = 3_600;
/** Custom headers of one kind, so that a head stays within its bounds. */
const MAX_HEADERS = 50;
const MAX_HEADER_BYTES = 8_192;

/**
 * What a BackendConfig says, and what is wrong with it. The texts on iap, cdn, affinity and logging are those of
 * ingress-gce `pkg/backendconfig/validation.go`; the other values are checked by the Compute API only, whose bounds
 * these are. Its health check is not looked at here.
 */
export function readBackendConfig(
  config: BackendConfig,
  face: Face,
): { readonly declared: DeclaredSettings; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const object = `BackendConfig ${nameOf(config)}`;
  const report: Report = (code, path, message) => {
    findings.push(finding(code, { object, message, at: config.source.locate(["spec", ...path]) }));
  };
  const refuse: Report = (code, path, why) => report(code, path, `${object} is not valid: ${why}`);
  const { spec } = config;
  checkWithoutEffect(config, report, refuse);
  checkAffinity(config, face, report, refuse);
  const { timeoutSec, connectionDraining } = spec;
  if (timeoutSec !== undefined && (timeoutSec < 0 || timeoutSec > MAX_TIMEOUT_SEC)) {
    const why = `timeoutSec is ${timeoutSec}, should be between 1 and ${MAX_TIMEOUT_SEC}`;
    refuse("GKE-T05", ["timeoutSec"], why);
  }
  const drainingSec = connectionDraining?.drainingTimeoutSec;
  if (drainingSec !== undefined && (drainingSec < 0 || drainingSec > MAX_DRAINING_SEC)) {
    const why = `drainingTimeoutSec is ${drainingSec}, should be between 0 and ${MAX_DRAINING_SEC}`;
    refuse("GKE-D01", ["connectionDraining", "drainingTimeoutSec"], why);
  }
  const requestHeaders = readHeaders(config, "customRequestHeaders", report, refuse);
  const responseHeaders = readHeaders(config, "customResponseHeaders", report, refuse);
  if (config.apiVersion !== "cloud.google.com/v1") {
    findings.push(
      finding("GKE-C05", {
        object,
        message: `apiVersion ${config.apiVersion} is an old one`,
        fix: "Write `cloud.google.com/v1`.",
        at: config.source.locate(["apiVersion"]),
      }),
    );
  }
  const ttlSec = spec.sessionAffinity?.affinityCookieTtlSec;
  return {
    declared: {
      name: config.metadata.name,
      ...(spec.sessionAffinity === undefined
        ? {}
        : {
            sessionAffinity: {
              affinityType: spec.sessionAffinity.affinityType ?? "",
              ...(ttlSec === undefined ? {} : { ttlSec }),
            },
          }),
      ...(timeoutSec === undefined ? {} : { timeoutSec }),
      ...(drainingSec === undefined ? {} : { drainingTimeoutSec: drainingSec }),
      ...(requestHeaders === undefined ? {} : { requestHeaders }),
      responseHeaders: responseHeaders ?? [],
    },
    findings,
  };
}

function checkAffinity(config: BackendConfig, face: Face, report: Report, refuse: Report): void {
  const { affinityType: type = "", affinityCookieTtlSec: ttlSec } = config.spec.sessionAffinity ?? {};
  const typePath = ["sessionAffinity", "affinityType"];
  const ttlPath = ["sessionAffinity", "affinityCookieTtlSec"];
  if (!["", "NONE", "CLIENT_IP", "GENERATED_COOKIE"].includes(type)) {
    const why = `unsupported AffinityType: ${type}, should be one of NONE, CLIENT_IP, or GENERATED_COOKIE`;
    refuse("GKE-A01", typePath, why);
  }
  if (ttlSec === undefined) return;
  if (ttlSec < 0 || ttlSec > MAX_TTL_SEC) {
    const why = `unsupported AffinityCookieTtlSec: ${ttlSec}, should be between 0 and ${MAX_TTL_SEC}`;
    refuse("GKE-A02", ttlPath, why);
  } else if (type !== "GENERATED_COOKIE") {
    report("GKE-A04", ttlPath, `affinityCookieTtlSec has no effect with affinityType "${type}"`);
  } else if (ttlSec > 0 && ttlSec < SHORT_TTL_SEC && face !== "holdfast") {
    report(
      "GKE-A03",
      ttlPath,
      `the affinity cookie expires ${ttlSec} s after the first answer and is not renewed: a client may move to another pod in mid-session`,
    );
  }
}

/** What Google's network does and a balancer alone doesn't, and fields that Kubernetes drops. */
function checkWithoutEffect(config: BackendConfig, report: Report, refuse: Report): void {
  const { iap, cdn, securityPolicy, logging, unknownFields = [] } = config.spec;
  if (iap?.enabled && cdn?.enabled) {
    refuse("GKE-S02", ["iap"], "iap and cdn cannot be enabled at the same time");
  }
  const rate = logging?.sampleRate;
  if (rate !== undefined && !(rate >= 0 && rate <= 1)) {
    // Go prints a float with six digits.
    const why = `unsupported SampleRate: ${rate.toFixed(6)}, should be between 0.0 and 1.0`;
    refuse("GKE-B08", ["logging", "sampleRate"], why);
  }
  const used = { iap: iap?.enabled, cdn: cdn?.enabled, securityPolicy: securityPolicy?.name, logging };
  for (const [section, one] of Object.entries(used)) {
    if (one) report("GKE-B09", [section], `${section} is Google Cloud's own, and has no effect here`);
  }
  for (const field of unknownFields) {
    const message = `${config.apiVersion} has no field spec.${field}, so Kubernetes drops it`;
    report("GKE-B10", field.split("."), message);
  }
}

function readHeaders(
  config: BackendConfig,
  section: "customRequestHeaders" | "customResponseHeaders",
  report: Report,
  refuse: Report,
): readonly HeaderField[] | undefined {
  const headers = config.spec[section]?.headers;
  if (headers === undefined) return config.spec[section] && [];
  const read = new Map<string, HeaderField>();
  if (headers.length > MAX_HEADERS || headers.join("\r\n").length > MAX_HEADER_BYTES) {
    const why = `${section} has more than ${MAX_HEADERS} headers, or ${MAX_HEADER_BYTES} bytes of them`;
    refuse("GKE-R01", [section, "headers"], why);
    return [];
  }
  for (const [index, text] of headers.entries()) {
    const path = [section, "headers", index];
    const header = parseHeader(text);
    if (!header.ok) {
      refuse("GKE-R01", path, header.message);
      continue;
    }
    const { field, variables } = header;
    // The same name in another spelling is the same header; the last one is sent.
    read.delete(field.name.toLowerCase());
    read.set(field.name.toLowerCase(), field);
    if (variables.length === 0) continue;
    report("GKE-R02", path, `${variables.join(", ")} in the header ${field.name} is empty here`);
  }
  return [...read.values()];
}
