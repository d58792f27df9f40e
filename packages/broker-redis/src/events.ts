/** What an operator may want to know. */
export type RedisBrokerEvent =
  /** Said with each connection for commands: how safe what is accepted is on this server, in a sentence. */
  | {
      readonly type: "connected";
      /** `host:port` */
      readonly server: string;
      readonly version: string;
      readonly appendonly: "yes" | "no";
      /** Absent where the server does not say. */
      readonly appendfsync?: string;
      /** When a snapshot is made, as the server has it; empty: never. Absent where it does not say. */
      readonly save?: string;
      /** Replicas that are connected now. */
      readonly replicas: number;
      /** Fewer, and writes are refused. Absent where the server does not say. */
      readonly minReplicas?: number;
      readonly durability: string;
    }
  /** The server throws logs away when its memory is full: they are refused as `trimmed` or `epoch` then. */
  | { readonly type: "may-evict"; readonly server: string; readonly policy: string };
