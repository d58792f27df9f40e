import type { Server, Socket } from "socket.io";

/** What Socket.IO's own adapters use of a socket, and its types keep private. */
export interface StockSocket {
  readonly id: string;
  readonly client: {
    writeToEngine(
      packets: readonly (string | Uint8Array)[],
      options: { volatile?: boolean; compress?: boolean },
    ): void;
  };
  readonly acks: Map<number, (response: unknown) => void>;
  notifyOutgoingListeners(packet: { data: readonly unknown[] }): void;
  listenersAnyOutgoing(): readonly unknown[];
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
