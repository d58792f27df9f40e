export { EndpointIndex } from "./endpoint-index.ts";
export type { Pod, PodPort } from "./endpoints.ts";
export { endpointsOf } from "./endpoints.ts";
export type { Finding, FindingCode, Severity } from "./finding.ts";
export { FINDINGS, printable } from "./finding.ts";
export { HOLDFAST_ANNOTATIONS } from "./holdfast-annotations.ts";
export type { Mend } from "./mend.ts";
export { mend } from "./mend.ts";
export type {
  Affinity,
  BackendService,
  BackendServiceId,
  Certificate,
  Endpoint,
  Face,
  HeaderField,
  HealthCheck,
  HostRule,
  LoadBalancer,
  PathRule,
  PinnedCookie,
  RoutingModel,
  UrlMap,
} from "./model.ts";
export type {
  BackendConfig,
  BackendConfigHealthCheck,
  BackendConfigSpec,
  Container,
  Deployment,
  DeploymentSpec,
  EndpointSlice,
  EnvVar,
  Ingress,
  IngressBackend,
  IngressPath,
  IngressRule,
  IngressSpec,
  IngressTls,
  KubernetesObject,
  Namespace,
  ObjectMeta,
  ObjectSource,
  ProbeAction,
  ReadinessProbe,
  Secret,
  Service,
  ServicePort,
  ServiceSpec,
  SliceEndpoint,
  SlicePort,
  TextPosition,
} from "./objects.ts";
export { formatPosition, nameOf } from "./objects.ts";
export { selects } from "./selector.ts";
export type { Synced } from "./sync.ts";
export { IngressSync } from "./sync.ts";
export type { IngressStatus, SyncEvent } from "./sync-event.ts";
export type { Translation } from "./translate.ts";
export { translate } from "./translate.ts";
export { UrlMapMatcher } from "./url-map-matcher.ts";
