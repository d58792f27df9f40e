import type { BindingEvent, HoldfastEvent } from "@holdfast/socketio";
import type { Log } from "./log.ts";

type AnyEvent = HoldfastEvent | BindingEvent;
type Level = "info" | "warn" | "error";

/** What is said of each event, and how grave it is. What the event holds stands beside it. */
const TABLE: Readonly<Record<AnyEvent["type"], readonly [level: Level, text: string]>> = {
  ready: ["info", "ready: what this node publishes to itself comes back"],
  unready: ["error", "not ready: what this node publishes to itself does not come back"],
  "broker-error": ["warn", "the broker failed"],
  "out-of-order": [
    "warn",
    "entries of several channels are handed out in another order than they were published in",
  ],
  "in-order": ["info", "entries of all channels are handed out in one order again"],
  reset: ["warn", "entries of a channel were lost to this node"],
  "cut-off": ["warn", "a client did not read and was disconnected; it can resume"],
  "fan-out-ordinary": [
    "warn",
    "packets take Socket.IO's ordinary path: an installed package is of another kind",
  ],
  ended: ["warn", "a subscription failed; the client was told"],
  unreadable: ["warn", "an entry is no message"],
  "delivery-failed": ["error", "an entry could not be handed to Socket.IO"],
  "emit-failed": ["error", "the broker did not accept what was emitted"],
  "request-failed": ["warn", "the other nodes did not answer, or could not be answered"],
  "presence-failed": ["warn", "who is in a room could not be written yet; it is tried again"],
  "node-replaced": ["error", "another process has this node's name; give each its own"],
  "node-unreadable": ["warn", "a node's record could not be read"],
  "node-silent": ["warn", "a node does not answer and can't be reached; it is not waited for until it does"],
  "membership-failed": ["warn", "this node could not tell the others of itself; it goes on trying"],
  "membership-missing": ["warn", "the broker can't tell which nodes there are: this one knows of no other"],
  "forward-failed": [
    "warn",
    "a node did not take a request of one of its sessions; the client begins a new one",
  ],
  "forward-limit": ["warn", "as many requests as may be are on their way to other nodes; more are refused"],
  "address-missing": ["error", "the other nodes can't reach this one's sessions: give it its address"],
  "recovery-unavailable": [
    "warn",
    "sessions can't be recovered with this broker: clients that come back start anew",
  ],
  "session-refused": ["info", "a client came back with a session that can't be gone on with"],
  "session-unrecoverable": [
    "warn",
    "a session's record can't be written as it is; its client would start anew",
  ],
  "session-broken": ["warn", "a socket was disconnected that was to miss something; its client starts anew"],
  "session-write-failed": ["warn", "a session's record could not be written for now"],
};

export function logEvent(log: Log, event: AnyEvent): void {
  const { type: _, ...facts } = event;
  const [level, text] = TABLE[event.type];
  if ("error" in facts) {
    const { error, ...others } = facts;
    log[level]({ err: error, ...others }, text);
  } else log[level](facts, text);
}
