import type { Unrecoverable } from "@holdfast/broker";

/** What happens in a hub that a person should know, for logs. */
export type HubEvent =
  | { readonly type: "ready" }
  | { readonly type: "unready"; readonly error: unknown }
  | {
      readonly type: "broker-error";
      readonly operation: "subscribe" | "history" | "probe" | "close";
      readonly channel: string;
      readonly error: unknown;
    }
  | { readonly type: "reset"; readonly channel: string; readonly reason: Unrecoverable };
