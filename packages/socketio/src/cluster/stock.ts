import type { Server, Socket } from "socket.io";

/** What Socket.IO's own adapters use of a socket, and its types keep private. */
export interface StockSocket {
  readonly id: string;
  readonly connected: boolean;
  readonly client: {
    writeToEngine(
      packets: readonly (string | Uint8Array)[],
      options: { volatile?: boolean; compress?: boolean },
    ): void;
  };
  readonly acks: Map<number, (response: unknown) => void>;
  packet(packet: StockPacket, options?: { volatile?: boolean; compress?: boolean }): void;
  notifyOutgoingListeners(packet: { data: readonly unknown[] }): void;
  listenersAnyOutgoing(): readonly unknown[];
}

/** What it writes to its client past its namespace's adapter. */
export interface StockPacket {
  readonly type: number;
  readonly data?: unknown;
  readonly id?: number;
}

/** The same of a namespace. */
export interface StockNamespace {
  readonly name: string;
  readonly server: StockServer;
  readonly sockets: ReadonlyMap<string, Socket>;
  /** The next acknowledgement id. */
  _ids: number;
  use(middleware: (socket: Socket, next: (error?: Error) => void) => void): unknown;
  _onServerSideEmit(args: readonly unknown[]): void;
}

/** The same of a server. */
export type StockServer = Server & {
  readonly encoder: { encode(packet: object): (string | Uint8Array)[] };
};

/** Whether its clients take the last argument of a packet, if that is text, for the place that they come back to. */
export function keepsPlaces(server: Server): boolean {
  const { opts } = server as unknown as { readonly opts?: { readonly connectionStateRecovery?: unknown } };
  return opts?.connectionStateRecovery !== undefined;
}
