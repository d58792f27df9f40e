import { Server as HttpServer } from "node:http";
import type { Server } from "socket.io";
import type { EngineServer } from "../forwarding/engine.ts";

/** Calls back with a server's Engine.IO server, and the HTTP server that it is attached to if it is: now, or as soon as `attach`, `listen` or `bind` brings one. */
export function whenBound(
  server: Server,
  onEngine: (engine: EngineServer, http: HttpServer | undefined) => void,
): void {
  const found = (engine: Server["engine"]) => {
    const http: unknown = server.httpServer;
    onEngine(engine as unknown as EngineServer, http instanceof HttpServer ? http : undefined);
  };
  if (server.engine) found(server.engine);
  // Socket.IO's own documented way for an engine that is made elsewhere; its `attach` and `listen` end there too.
  const { bind } = server;
  server.bind = (engine) => {
    bind.call(server, engine);
    found(engine);
    return server;
  };
}
