/**
 * What the harness can ask of a process that it started, by name: the argument it gives and the reply it is owed.
 * All of it crosses a process boundary as JSON.
 */
export type Calls = Record<string, { readonly argument: unknown; readonly reply: unknown }>;

/** One function for each call. */
export type Handlers<C extends Calls> = {
  readonly [Name in keyof C]: (argument: C[Name]["argument"]) => C[Name]["reply"] | Promise<C[Name]["reply"]>;
};

/** From the harness. Without an id no reply is wanted. */
export interface CallMessage {
  readonly name: string;
  readonly argument: unknown;
  readonly id?: number;
}

/** To the harness. */
export type ReplyMessage =
  | { readonly type: "ready" }
  | { readonly type: "reply"; readonly id: number; readonly reply: unknown }
  | { readonly type: "failed"; readonly id: number; readonly message: string };

/** Every process of a bench answers these two, whatever else it does. */
export const CPU_TIME_CALL = "cpuTime";
export const MEMORY_CALL = "memory";
