import type { HubEvent } from "@holdfast/hub";
import type { MembershipEvent } from "./cluster/membership.ts";
import type { ForwardingEvent } from "./forwarding/adopt-engine.ts";
import type { RestoreRefusal } from "./recovery/restore.ts";
import type { SessionWrite } from "./recovery/session-store.ts";

/** What happens in a binding that a person should know, for logs. */
export type BindingEvent =
  /** A client did not read fast enough; it was disconnected and can resume. */
  | {
      readonly type: "cut-off";
      readonly code: "CLIENT_TOO_SLOW";
      readonly socket: string;
      readonly queuedBytes: number;
    }
  /** A subscription failed after it had begun; the client was told and subscribes again. */
  | { readonly type: "ended"; readonly socket: string; readonly channel: string; readonly error: unknown }
  /** An entry's bytes are not a message; clients were given its place in the order and no content. */
  | {
      readonly type: "unreadable";
      readonly channel: string;
      readonly offset: number;
      readonly reason: string;
    }
  /** Packets take Socket.IO's ordinary path to all clients: an installed package is not as this version knows it. */
  | { readonly type: "fan-out-ordinary"; readonly reason: string }
  /** Handing an entry to Socket.IO threw, as a listener for outgoing events may. */
  | { readonly type: "delivery-failed"; readonly channel: string; readonly error: unknown };

/** What happens in a node's part of the cluster of Socket.IO servers that a person should know, for logs. */
export type HoldfastEvent =
  | HubEvent
  | MembershipEvent
  | ForwardingEvent
  | Extract<BindingEvent, { type: "cut-off" | "fan-out-ordinary" | "unreadable" | "delivery-failed" }>
  /** The broker did not accept what was emitted, or it is not known whether it did. `channel`: the first of its rooms. */
  | {
      readonly type: "emit-failed";
      readonly namespace: string;
      readonly channel: string;
      readonly error: unknown;
    }
  /** A socket's presence in a room could not be written, or not removed, yet; it is tried again until it is. */
  | { readonly type: "presence-failed"; readonly error: unknown }
  /** A request to the other nodes, or an answer to one of theirs, failed or came too late. */
  | { readonly type: "request-failed"; readonly operation: string; readonly error: unknown }
  /** A node answers nothing and its server can't be reached; nobody waits for its answers until it is heard again, or gone. */
  | { readonly type: "node-silent"; readonly node: string }
  /** Sessions can't be recovered with this broker, and why: every client that comes back starts anew. Said once. */
  | { readonly type: "recovery-unavailable"; readonly reason: string }
  /** A client came back with a session and has to start anew. */
  | {
      readonly type: "session-refused";
      readonly namespace: string;
      readonly reason: RestoreRefusal;
      readonly error?: unknown;
    }
  /** A session's record can't be written as it is, so nobody can go on with the session until it can. */
  | {
      readonly type: "session-unrecoverable";
      readonly namespace: string;
      readonly socket: string;
      readonly reason: Exclude<SessionWrite, "stored" | "refused">;
    }
  /** A socket was disconnected: it was to miss something, as a room of it was reset, or more waits for it than is kept. */
  | {
      readonly type: "session-broken";
      readonly namespace: string;
      readonly socket: string;
      readonly reason: "reset" | "behind";
    }
  /** A session's record could not be written for now; it is tried again. */
  | { readonly type: "session-write-failed"; readonly error: unknown };
