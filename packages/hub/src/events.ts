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
  /** So much was held back for channels that are behind, or so long, that the order over all channels gave way. */
  | {
      readonly type: "out-of-order";
      readonly bound: "entries" | "bytes" | "time";
      /** Events that were held and go out now. */
      readonly held: number;
      /** Channels that are behind. */
      readonly behind: number;
    }
  /** No channel is behind any more: from here on entries of all channels are handed out in one order again. */
  | { readonly type: "in-order" }
  | { readonly type: "reset"; readonly channel: string; readonly reason: Unrecoverable };
