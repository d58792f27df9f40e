/** What a binding has done since it was made. */
export interface BindingCounters {
  /** Sockets connected now. */
  connections: number;
  /** Subscriptions now, those under way included. */
  subscriptions: number;
  /** Entries handed to live subscribers, once for each of them. */
  delivered: number;
  /** Entries handed to subscribers that were catching up. */
  caughtUp: number;
  /** Subscribe requests that were answered with an error. */
  refused: number;
  /** Clients disconnected because they did not read. */
  cutOff: number;
  /** Entries whose bytes were not a message. */
  unreadable: number;
}

export function zeroCounters(): BindingCounters {
  return {
    connections: 0,
    subscriptions: 0,
    delivered: 0,
    caughtUp: 0,
    refused: 0,
    cutOff: 0,
    unreadable: 0,
  };
}
