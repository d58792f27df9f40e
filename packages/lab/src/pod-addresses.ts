import { randomInt } from "node:crypto";
import type { Server } from "node:net";
import { LabError } from "./errors.ts";
import { claimPort, whyNotBound } from "./port-probe.ts";

/**
 * `addresses`: every pod has a 127.x.y.z of its own, so that all may listen on the same containerPort. `ports`: all
 * share 127.0.0.1 and each is given ports of its own, for machines that have no other loopback address. `auto`: the
 * first where the machine can, else the second.
 */
export type PodNetwork = "auto" | "addresses" | "ports";

/** Where one pod listens. */
export interface PodAddress {
  readonly ip: string;
  /** The port that stands for each containerPort: itself, unless it can't be listened on here. */
  readonly ports: ReadonlyMap<number, number>;
}

/** A port nobody uses by custom; who listens on it at a block's first address owns the block. */
const CLAIM_PORT = 61_127;
const CLAIM_ATTEMPTS = 50;
const FIRST_HOST = 2;
const LAST_HOST = 254;

/** Below the ephemeral ranges of Linux (32768) and macOS (49152), so that no outgoing connection takes one meanwhile. */
const OWN_PORTS_FROM = 20_000;
const OWN_PORTS_TO = 32_000;
const OWN_PORT_ATTEMPTS = 200;

/** What stands for a containerPort that needs a privilege (on Linux those below 1024): the port plus this. */
const UNPRIVILEGED_OFFSET = 10_000;

/**
 * Hands out the addresses of one lab's pods. The lab owns a random block 127.x.y.0/24 by holding a listener in it,
 * so two labs on a machine never meet; the operating system frees the block the moment the lab is gone.
 */
export class PodAddresses {
  readonly #network: PodNetwork;
  #claims: Server[] = [];
  #block: string | undefined;
  #nextHost = FIRST_HOST;
  readonly #ownPorts = new Set<number>();

  constructor(network: PodNetwork) {
    this.#network = network;
  }

  /**
   * The address of a new pod with these containerPorts.
   *
   * @throws LabError `POD_ADDRESS_MISSING`
   */
  async allot(containerPorts: readonly number[]): Promise<PodAddress> {
    const ip = this.#network === "ports" ? undefined : await this.#nextAddress();
    if (ip !== undefined) return { ip, ports: await unprivileged(ip, containerPorts) };
    const ports = new Map<number, number>();
    for (const port of containerPorts) ports.set(port, await this.#ownPort());
    return { ip: "127.0.0.1", ports };
  }

  /** Gives the block back. Idempotent. */
  async close(): Promise<void> {
    const claims = this.#claims;
    this.#claims = [];
    await Promise.all(claims.map((claim) => new Promise<void>((resolve) => claim.close(() => resolve()))));
  }

  async #nextAddress(): Promise<string | undefined> {
    if (this.#block === undefined || this.#nextHost > LAST_HOST) {
      const block = await this.#claimBlock();
      if (block === undefined) {
        if (this.#network === "auto") return undefined;
        throw new LabError("POD_ADDRESS_MISSING", "this machine has no loopback address but 127.0.0.1");
      }
      this.#block = block;
      this.#nextHost = FIRST_HOST;
    }
    return `${this.#block}.${this.#nextHost++}`;
  }

  async #claimBlock(): Promise<string | undefined> {
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt++) {
      // 127.0.x.y is left alone: resolvers and distributions use addresses there (127.0.0.53, 127.0.1.1).
      const block = `127.${randomInt(1, 255)}.${randomInt(0, 256)}`;
      const claim = await claimPort(`${block}.1`, CLAIM_PORT);
      if (typeof claim !== "string") {
        this.#claims.push(claim);
        return block;
      }
      if (claim !== "EADDRINUSE") return undefined;
    }
    throw new LabError("POD_ADDRESS_MISSING", `no free address block in ${CLAIM_ATTEMPTS} attempts`);
  }

  async #ownPort(): Promise<number> {
    for (let attempt = 0; attempt < OWN_PORT_ATTEMPTS; attempt++) {
      const port = randomInt(OWN_PORTS_FROM, OWN_PORTS_TO);
      if (this.#ownPorts.has(port) || (await whyNotBound("127.0.0.1", port)) !== undefined) continue;
      this.#ownPorts.add(port);
      return port;
    }
    throw new LabError("POD_ADDRESS_MISSING", `no free port in ${OWN_PORT_ATTEMPTS} attempts`);
  }
}

async function unprivileged(ip: string, containerPorts: readonly number[]): Promise<Map<number, number>> {
  const ports = new Map<number, number>();
  for (const port of containerPorts) {
    const refused = port < 1024 && (await whyNotBound(ip, port)) === "EACCES";
    ports.set(port, refused ? port + UNPRIVILEGED_OFFSET : port);
  }
  return ports;
}
