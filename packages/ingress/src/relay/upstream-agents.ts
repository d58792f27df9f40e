import { Agent } from "node:http";
import type { EndpointState } from "../endpoints/endpoint-state.ts";

/** GKE keeps idle connections to a pod for this long, whatever the pod says; the pod may close them earlier. */
const IDLE_MS = 600_000;

/** The idle connections that are kept to each endpoint. */
export class UpstreamAgents {
  readonly #agents = new Map<EndpointState, Agent>();
  readonly #maxIdle: number;

  constructor(maxIdle: number) {
    this.#maxIdle = maxIdle;
  }

  /** @returns undefined for an endpoint that has left: to it no connection is kept */
  of(state: EndpointState): Agent | undefined {
    if (state.removed) return undefined;
    let agent = this.#agents.get(state);
    if (!agent) {
      agent = new Agent({
        keepAlive: true,
        maxFreeSockets: this.#maxIdle,
        scheduling: "lifo",
        timeout: IDLE_MS,
      });
      this.#agents.set(state, agent);
    }
    return agent;
  }

  /** Closes an endpoint's idle connections now and the others once they have become idle. */
  release(state: EndpointState): void {
    const agent = this.#agents.get(state);
    if (!agent) return;
    this.#agents.delete(state);
    agent.maxFreeSockets = 0;
    for (const sockets of Object.values(agent.freeSockets))
      for (const socket of sockets ?? []) socket.destroy();
  }
}
