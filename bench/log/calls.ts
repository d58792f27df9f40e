/** The process that holds the broker, when that is not the one that uses it. */
export type BrokerCalls = {
  /** Serves a log that it keeps in this folder. @returns the URL */
  readonly serve: { readonly argument: { readonly folder: string }; readonly reply: string };
};

/** The process that uses it. */
export type WorkerCalls = {
  /** Two nodes of the broker at this URL. */
  readonly open: { readonly argument: string; readonly reply: undefined };
  /** Publishes, so many calls at a time. @returns seconds */
  readonly publish: { readonly argument: Publishing; readonly reply: number };
  /** Publishes one after the other on one node to subscribers of the other. In milliseconds. */
  readonly deliver: {
    readonly argument: { readonly entries: number };
    readonly reply: { readonly p50: number; readonly p99: number };
  };
  /** Subscribers, spread over the channels, that each go on from so many entries back. @returns seconds */
  readonly catchUp: {
    readonly argument: { readonly subscribers: number; readonly channels: number; readonly back: number };
    readonly reply: number;
  };
  /** Follows channels on which nothing happens. @returns bytes of this process's heap for each */
  readonly idle: { readonly argument: { readonly channels: number }; readonly reply: number };
};

export interface Publishing {
  readonly entries: number;
  readonly channels: number;
  /** Publications in one call: 1 is `publish`, more is `publishAll`. */
  readonly batch: number;
  /** Calls that wait for their answer at one time. */
  readonly calls: number;
}
