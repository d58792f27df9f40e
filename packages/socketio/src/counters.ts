import { type ForwardingCounters, zeroForwardingCounters } from "./forwarding/counters.ts";

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
  /** Entries, and volatile messages, whose bytes were not a message. */
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

/** What a node's part in the cluster of Socket.IO servers has done since it was made. */
export interface HoldfastCounters extends ForwardingCounters {
  /** Emits of this node that go to all nodes. */
  emits: number;
  /** Those of them that the broker did not accept. */
  emitsFailed: number;
  /** Packets handed to sockets of this node, once for each of them. */
  delivered: number;
  /** Entries and messages of other nodes that could not be read. */
  unreadable: number;
  /** Requests of other nodes. */
  requests: number;
  /** Requests to other nodes, and answers to them, that failed. */
  requestsFailed: number;
  /** Clients disconnected because they did not read. */
  cutOff: number;
  /** Times that entries of a room were lost to this node. */
  resets: number;
  /** Sockets now that another node can go on with, those on their way in included. */
  sessions: number;
  /** Clients that came back and missed nothing. */
  sessionsRecovered: number;
  /** Clients that came back with a session and had to start anew. */
  sessionsRefused: number;
  /** Times that a session's record could not be written as it is, so that nobody could go on with it. */
  sessionsUnrecoverable: number;
  /** Sockets that were disconnected because they were to miss something: they start anew. */
  sessionsBroken: number;
  /** Sockets that were disconnected because their client came back at another node. */
  sessionsLost: number;
  /** Attempts to write a session's record that failed. */
  sessionWritesFailed: number;
  /** Packets that clients had missed, once for each client. */
  replayed: number;
}

export function zeroHoldfastCounters(): HoldfastCounters {
  return {
    emits: 0,
    emitsFailed: 0,
    delivered: 0,
    unreadable: 0,
    requests: 0,
    requestsFailed: 0,
    cutOff: 0,
    resets: 0,
    sessions: 0,
    sessionsRecovered: 0,
    sessionsRefused: 0,
    sessionsUnrecoverable: 0,
    sessionsBroken: 0,
    sessionsLost: 0,
    sessionWritesFailed: 0,
    replayed: 0,
    ...zeroForwardingCounters(),
  };
}
