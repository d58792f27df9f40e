/** How big the cluster is. */
export interface Size {
  readonly ingresses: number;
  readonly rules: number;
  readonly endpoints: number;
}

/** All times are CPU time of the process, so that what else the machine does counts for less. */
export type RoutingCalls = {
  /** Milliseconds from objects to a routing model with all its endpoints. */
  readonly translate: { readonly argument: Size; readonly reply: number };
  /** Milliseconds for the same when one Ingress of all has changed since, a mean over so many changes. */
  readonly sync: { readonly argument: Size & { readonly changes: number }; readonly reply: number };
  /** Microseconds from a changed EndpointSlice to the data plane's new endpoints, a mean over so many changes. */
  readonly slice: { readonly argument: Size & { readonly changes: number }; readonly reply: number };
  /** Nanoseconds of one look-up of a host and path among so many rules, a mean over so many. */
  readonly lookup: {
    readonly argument: { readonly rules: number; readonly lookups: number };
    readonly reply: number;
  };
};
