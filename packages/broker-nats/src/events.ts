/** What an operator may want to know. */
export type NatsBrokerEvent =
  /** Said with each connection: how safe what is accepted is there, in a sentence. */
  | {
      readonly type: "connected";
      readonly server: string;
      readonly version: string;
      readonly storage: "file" | "memory";
      readonly replicas: number;
      readonly durability: string;
    }
  /** A stream holds more channels than NATS is at ease with: use more partitions, or forget channels sooner. */
  | { readonly type: "many-subjects"; readonly stream: string; readonly subjects: number }
  /** An entry that was stored was not told of; it was found in the log and is delivered. */
  | { readonly type: "repaired"; readonly channel: string };
