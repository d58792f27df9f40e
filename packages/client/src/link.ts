import type { ClientError } from "./errors.ts";
import type { SubscribeAnswer, SubscribeRequest } from "./wire.ts";

/** What a channel needs of the client that it belongs to. */
export interface Link {
  readonly connected: boolean;
  /** Answers once: undefined when the server did not in time. Called while the answer is read, never later. */
  subscribe(request: SubscribeRequest, onAnswer: (answer: SubscribeAnswer | undefined) => void): void;
  unsubscribe(channel: string): void;
  /** Nobody listens to the channel's own errors. */
  report(error: ClientError, channel: string): void;
}
