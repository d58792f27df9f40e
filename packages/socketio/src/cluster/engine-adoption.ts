import type { Server } from "socket.io";

/** Calls back with a server's Engine.IO server: now, or as soon as `attach`, `listen` or `bind` brings one. */
export function whenBound(server: Server, onEngine: (engine: Server["engine"]) => void): void {
  if (server.engine) onEngine(server.engine);
  // Socket.IO's own documented way for an engine that is made elsewhere; its `attach` and `listen` end there too.
  const { bind } = server;
  server.bind = (engine) => {
    bind.call(server, engine);
    onEngine(engine);
    return server;
  };
}
