/** What is done to a Socket.IO service, as data: the same for one server with its in-memory adapter and for several. */
export interface Program {
  readonly seed: number;
  /** Whether the servers have `connectionStateRecovery`. */
  readonly recovery: boolean;
  /** Whether they compress what they send, unless they are told not to. */
  readonly deflate: boolean;
  /** Servers; where there is one only, it plays them all. */
  readonly nodes: number;
  readonly clients: readonly ClientPlan[];
  readonly phases: readonly Phase[];
}

export interface ClientPlan {
  readonly name: string;
  readonly namespace: string;
  readonly transports: readonly ("polling" | "websocket")[];
  /** Rooms that the server's "connection" listener puts it in. */
  readonly greeted: readonly string[];
}

/**
 * Lanes run at the same time, the steps of one lane one after the other. Nothing in one lane has an effect on what
 * another lane's steps are to do, so that every phase has one right outcome. The next begins when all is quiet.
 */
export interface Phase {
  readonly lanes: readonly Lane[];
}

export type Lane = readonly Step[];

/** Who is meant; no rooms: everybody. `@name` among the rooms is a client's own room. */
export interface Target {
  readonly namespace: string;
  readonly rooms: readonly string[];
  readonly except: readonly string[];
  /** Only those connected to the node that is asked. */
  readonly local: boolean;
}

export type Payload = readonly unknown[];

interface Message {
  /** The event's name, too, so that every message can be told from every other. */
  readonly id: string;
  readonly payload: Payload;
}

interface Question extends Message {
  /** Clients that give no answer. */
  readonly silent: readonly string[];
  readonly timeoutMs: number;
}

/** How namespaces come to be that nobody has named before a client does. */
export type Parent = "pattern" | "function";

/** A step at a client's own server-side socket has no node: it is done where the client is. */
export type Step =
  | { readonly type: "connect"; readonly client: string; readonly node: number }
  | { readonly type: "client-disconnect"; readonly client: string }
  /** The connection is lost, and made again with "return". */
  | { readonly type: "away"; readonly client: string }
  | { readonly type: "return"; readonly client: string; readonly node: number }
  | { readonly type: "kick"; readonly client: string; readonly close: boolean }
  /** Not awaited: what follows in the lane may find it under way. Before the phase ends it is. */
  | { readonly type: "join"; readonly client: string; readonly rooms: readonly string[] }
  /** Its client asks for it and is answered right after the call, which is not awaited either. */
  | { readonly type: "ask-to-join"; readonly client: string; readonly rooms: readonly string[] }
  | { readonly type: "leave"; readonly client: string; readonly room: string }
  | { readonly type: "data"; readonly client: string; readonly value: unknown }
  | (Message & {
      readonly type: "emit";
      readonly node: number;
      readonly target: Target;
      readonly volatile: boolean;
      readonly compress: boolean;
    })
  /** To all namespaces of a node that a pattern or a function lets be. */
  | (Message & { readonly type: "parent-emit"; readonly node: number; readonly parent: Parent })
  | (Message & {
      readonly type: "socket-emit";
      readonly client: string;
      readonly target: Target;
      readonly volatile: boolean;
      readonly compress: boolean;
    })
  | (Message & {
      readonly type: "direct";
      readonly client: string;
      readonly volatile: boolean;
      readonly compress: boolean;
    })
  | (Question & {
      readonly type: "ask";
      readonly node: number;
      readonly target: Target;
      /** By `emitWithAck`, not with a function that is called. */
      readonly promised: boolean;
    })
  | (Question & { readonly type: "socket-ask"; readonly client: string; readonly target: Target })
  | (Question & { readonly type: "ask-one"; readonly client: string })
  /** Through what `fetchSockets` gives for that client on a node. */
  | (Message & { readonly type: "remote-emit"; readonly node: number; readonly client: string })
  | (Question & { readonly type: "remote-ask"; readonly node: number; readonly client: string })
  | {
      readonly type: "remote-disconnect";
      readonly node: number;
      readonly client: string;
      readonly close: boolean;
    }
  | { readonly type: "remote-join"; readonly node: number; readonly client: string; readonly room: string }
  | { readonly type: "remote-leave"; readonly node: number; readonly client: string; readonly room: string }
  | { readonly type: "fetch" | "ids"; readonly id: string; readonly node: number; readonly target: Target }
  | {
      readonly type: "sockets-join";
      readonly node: number;
      readonly target: Target;
      readonly rooms: readonly string[];
    }
  | {
      readonly type: "sockets-leave";
      readonly node: number;
      readonly target: Target;
      readonly rooms: readonly string[];
    }
  | {
      readonly type: "disconnect-sockets";
      readonly node: number;
      readonly target: Target;
      readonly close: boolean;
    }
  | (Message & {
      readonly type: "server-side" | "server-side-ask";
      readonly node: number;
      readonly namespace: string;
      /** The other nodes that have the namespace. */
      readonly others: readonly number[];
    })
  /** From the client to its server. */
  | (Message & { readonly type: "say"; readonly client: string; readonly ack: boolean });

export type StepOf<Type extends Step["type"]> = Extract<Step, { readonly type: Type }>;

/** What lets a namespace be; undefined for one that the servers name themselves. */
export function parentOf(namespace: string): Parent | undefined {
  if (/^\/pattern-\d+$/.test(namespace)) return "pattern";
  return namespace.startsWith("/made-") ? "function" : undefined;
}

/** The messages of a program by their ids. */
export function messagesOf(program: Program): ReadonlyMap<string, Extract<Step, Message>> {
  const steps = program.phases.flatMap(({ lanes }) => lanes.flat());
  return new Map(steps.flatMap((step) => ("payload" in step ? [[step.id, step]] : [])));
}
