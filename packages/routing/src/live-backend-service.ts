import type { BuiltBackendService } from "./backend-service.ts";
import { applyHealthCheck, keepHealthCheck } from "./health-check.ts";
import type { BackendService, HealthCheck } from "./model.ts";
import { applySettings, backendSettings, type LiveSettings, newSettings } from "./settings.ts";

/** A backend service as it is served, and what a later sync has to know of it. */
export interface LiveBackendService {
  readonly built: BuiltBackendService;
  readonly backendService: BackendService;
  readonly settings: LiveSettings;
  readonly healthCheck: HealthCheck;
}

/**
 * One sync of a backend service. In GKE's faces it overwrites what the BackendConfig says and leaves the rest as it
 * was (ingress-gce `pkg/backends/features`, `pkg/healthchecks`); in face `holdfast` what is declared is what is served.
 *
 * @param live as it was after the sync before; undefined: nothing of it is there yet
 */
export function syncBackendService(
  built: BuiltBackendService,
  live: LiveBackendService | undefined,
): LiveBackendService {
  if (live?.built === built) return live;
  const { face, declared, ownHealthCheck } = built;
  const before = face === "holdfast" ? undefined : live;
  const settings = applySettings(before?.settings ?? newSettings(face), declared, face);
  const own = before === undefined ? ownHealthCheck : keepHealthCheck(before.healthCheck, ownHealthCheck);
  const healthCheck = applyHealthCheck(own, declared?.healthCheck);
  const { backendConfig: _, ...rest } = built.backendService;
  const backendService: BackendService = { ...rest, ...backendSettings(settings), healthCheck };
  // The same object while nothing changed, so that whoever compares finds that out at once.
  const same = live !== undefined && JSON.stringify(live.backendService) === JSON.stringify(backendService);
  return { built, backendService: same ? live.backendService : backendService, settings, healthCheck };
}
