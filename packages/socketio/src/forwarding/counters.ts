/** What forwarding has done since it was set up. */
export interface ForwardingCounters {
  /** Polling requests and upgrades on their way to another node now. */
  forwarding: number;
  /** Polling requests that another node answered. */
  forwardedRequests: number;
  /** Upgrades that another node answered. */
  forwardedUpgrades: number;
  /** Refused: the id names this node, and that session is over, or a former process of this name had it. */
  refusedEnded: number;
  /** Refused: the id is of no form that names a node. */
  refusedForeign: number;
  /** Refused: the id names a node that is not there. */
  refusedOwnerGone: number;
  /** Refused: the node that the id names did not issue it, or a former process of that name did. */
  refusedNotIssued: number;
  /** Refused: the node that owns the session could not be reached, or ended before it answered. */
  refusedUnreachable: number;
  /** Refused: as many were under way as may be. */
  refusedTooMany: number;
}

export function zeroForwardingCounters(): ForwardingCounters {
  return {
    forwarding: 0,
    forwardedRequests: 0,
    forwardedUpgrades: 0,
    refusedEnded: 0,
    refusedForeign: 0,
    refusedOwnerGone: 0,
    refusedNotIssued: 0,
    refusedUnreachable: 0,
    refusedTooMany: 0,
  };
}
