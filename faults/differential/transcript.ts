/** What a program's run showed, in a form that can be compared. */
export interface Transcript {
  readonly phases: readonly PhaseTranscript[];
}

export interface PhaseTranscript {
  /** What each client saw, in its order. */
  readonly clients: ReadonlyMap<string, readonly Observation[]>;
  /** What each client's server-side socket saw, in its order. */
  readonly sockets: ReadonlyMap<string, readonly Observation[]>;
  /** What other nodes' `serverSideEmit` brought to each node. */
  readonly nodes: readonly (readonly Observation[])[];
  /** What steps that ask for something were answered, by their ids. */
  readonly answers: ReadonlyMap<string, string>;
  /** The rooms that each connected client is in when all is quiet. */
  readonly rooms: ReadonlyMap<string, string>;
  /** Clients that are connected and were not told that the phase ends. */
  readonly unmarked: readonly string[];
}

export interface Observation {
  /** The message's id, or a happening of the connection. */
  readonly id: string;
  readonly value: string;
}
