import type { Affinity, BackendService, Face, HeaderField } from "./model.ts";

/**
 * What a BackendConfig says outright of a backend service, apart from its health check. On GKE what it leaves out is
 * left as it is (ingress-gce `pkg/backends/features`), so the difference between "not said" and a default matters.
 */
export interface DeclaredSettings {
  /** Name of the BackendConfig. */
  readonly name: string;
  /** `affinityType` may be empty, which is none. */
  readonly sessionAffinity?: { readonly affinityType: string; readonly ttlSec?: number };
  readonly timeoutSec?: number;
  readonly drainingTimeoutSec?: number;
  readonly requestHeaders?: readonly HeaderField[];
  /** The one setting that is set back when it is not said. */
  readonly responseHeaders: readonly HeaderField[];
}

/** The settings of a backend service at one moment, as the Compute API would show them. */
export interface LiveSettings {
  readonly affinityType: string;
  /** Stays when the affinity is changed to a type that has no use for it. */
  readonly ttlSec: number;
  readonly timeoutSec: number;
  readonly drainingTimeoutSec: number;
  readonly requestHeaders: readonly HeaderField[];
  readonly responseHeaders: readonly HeaderField[];
  readonly backendConfig?: string;
}

/** What settings mean for a backend service. */
export type BackendSettings = Pick<
  BackendService,
  "affinity" | "timeoutSec" | "drainingTimeoutSec" | "requestHeaders" | "responseHeaders" | "backendConfig"
>;

const GKE: LiveSettings = {
  affinityType: "NONE",
  ttlSec: 0,
  timeoutSec: 30,
  drainingTimeoutSec: 0,
  requestHeaders: [],
  responseHeaders: [],
};

/**
 * A backend service that has just been made. On GKE: no affinity, GCE's timeout of 30 s, no draining. In face
 * `holdfast` a long answer has five minutes, and connections have half a minute to end by themselves.
 */
export function newSettings(face: Face): LiveSettings {
  return face === "holdfast" ? { ...GKE, timeoutSec: 300, drainingTimeoutSec: 30 } : GKE;
}

/** The settings after one sync: what is said overwrites what was, and without a BackendConfig nothing is touched. */
export function applySettings(
  live: LiveSettings,
  declared: DeclaredSettings | undefined,
  face: Face,
): LiveSettings {
  if (declared === undefined) return live;
  const { sessionAffinity, timeoutSec, drainingTimeoutSec, requestHeaders, responseHeaders } = declared;
  return {
    affinityType: sessionAffinity === undefined ? live.affinityType : sessionAffinity.affinityType,
    ttlSec: sessionAffinity?.ttlSec ?? live.ttlSec,
    // The Compute API takes 0 for "not set".
    timeoutSec: timeoutSec === 0 ? newSettings(face).timeoutSec : (timeoutSec ?? live.timeoutSec),
    drainingTimeoutSec: drainingTimeoutSec ?? live.drainingTimeoutSec,
    requestHeaders: requestHeaders ?? live.requestHeaders,
    responseHeaders,
    backendConfig: declared.name,
  };
}

export function backendSettings(live: LiveSettings): BackendSettings {
  const { affinityType, ttlSec, ...rest } = live;
  return { affinity: affinityOf(affinityType, ttlSec), ...rest };
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
