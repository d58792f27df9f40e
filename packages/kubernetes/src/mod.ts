export type { PassedOver } from "./manifest.ts";
export type { ManifestWatch, WatchManifestsOptions } from "./manifest-watch.ts";
export { watchManifests } from "./manifest-watch.ts";
export type { Problem, ProblemCode } from "./problem.ts";
export { PROBLEMS } from "./problem.ts";
export type { ReadManifests, ReadManifestsOptions } from "./read-manifests.ts";
export { readManifests } from "./read-manifests.ts";
