/** What a follower of a channel's state is told. */
export type StateEvent =
  /**
   * All that holds, at first; and again where the log began anew or was lost in part, before anything later.
   * `complete` false: the log no longer had all of it.
   */
  | { readonly type: "snapshot"; readonly pairs: ReadonlyMap<string, unknown>; readonly complete: boolean }
  | { readonly type: "set"; readonly key: string; readonly value: unknown }
  | { readonly type: "deleted"; readonly key: string };
