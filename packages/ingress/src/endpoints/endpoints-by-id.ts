import { isIP } from "node:net";
import type { BackendServiceId, Endpoint } from "@holdfast/routing";
import { IngressError } from "../errors.ts";
import { endpointId } from "./endpoint-state.ts";

/** With more the shares of a table would become uneven (one part in sixteen). */
const MAX_ENDPOINTS = 4_096;

/**
 * The endpoints of one backend service by their ip:port, in the order given.
 *
 * @throws IngressError `ENDPOINT_INVALID`, `ENDPOINTS_TOO_MANY`
 */
export function endpointsById(
  backendService: BackendServiceId,
  endpoints: readonly Endpoint[],
): Map<string, Endpoint> {
  if (endpoints.length > MAX_ENDPOINTS) {
    throw new IngressError(
      "ENDPOINTS_TOO_MANY",
      `${backendService} has ${endpoints.length} endpoints; ${MAX_ENDPOINTS} are the most`,
    );
  }
  const byId = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const id = endpointId(endpoint);
    if (isIP(endpoint.address) === 0 || !isPort(endpoint.port)) {
      throw new IngressError("ENDPOINT_INVALID", `${backendService}: ${id} is not an IP address and a port`);
    }
    if (byId.has(id)) {
      throw new IngressError("ENDPOINT_INVALID", `${backendService} has the endpoint ${id} twice`);
    }
    byId.set(id, endpoint);
  }
  return byId;
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}
