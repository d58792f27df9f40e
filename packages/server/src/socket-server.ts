import { createServer, type Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import { bindChannels, createHoldfast, type Holdfast } from "@holdfast/socketio";
import { Server } from "socket.io";
import { openConfiguredBroker } from "./broker-client.ts";
import { ClientBundle } from "./client-bundle.ts";
import type { SocketServerConfig } from "./config.ts";
import { createLog, type Log } from "./log.ts";
import { logEvent } from "./log-event.ts";
import { createRegistry, exportCounters } from "./metrics.ts";
import { KEEP_ALIVE_MS, listen, type RunningServer, runningServer } from "./running-server.ts";
import { pageListener } from "./socket-server-pages.ts";

/** Connections that are not gone this long after a close was asked for are cut. */
const CLOSE_GRACE_MS = 500;

/**
 * One node: Socket.IO in a cluster, with the channels of a broker, its health, its metrics, and a page's files.
 *
 * @throws ServerError `PORT_IN_USE`, `LISTEN_FAILED`, `STATIC_MISSING`; BrokerError as `openAnyBroker` does
 */
export async function startSocketServer(config: SocketServerConfig): Promise<RunningServer> {
  const log = createLog("server", config);
  const broker = openConfiguredBroker(config, log);
  const holdfast = createHoldfast({
    broker,
    node: config.node,
    maxQueuedBytes: config.maxQueuedBytes,
    hub: { probeIntervalMs: config.probeIntervalMs, probeTimeoutMs: config.probeTimeoutMs },
    onEvent: (event) => logEvent(log, event),
  });
  const closeChannels = async () => {
    await holdfast.close();
    await broker.close();
  };
  try {
    return await serve(config, holdfast, log, closeChannels);
  } catch (error) {
    await closeChannels();
    throw error;
  }
}

async function serve(
  config: SocketServerConfig,
  holdfast: Holdfast,
  log: Log,
  closeChannels: () => Promise<void>,
): Promise<RunningServer> {
  const { node, staticFolder, path } = config;
  const { hub } = holdfast;
  const registry = createRegistry();
  const bundle = await ClientBundle.read(log);
  const isReady = () => hub.ready;
  const http = createServer(pageListener({ node, staticFolder, bundle, registry, isReady }));
  http.keepAliveTimeout = KEEP_ALIVE_MS;
  const connections = track(http);
  const io = new Server(http, {
    ...holdfast.options,
    path,
    pingInterval: config.pingIntervalMs,
    pingTimeout: config.pingTimeoutMs,
    ...(config.corsOrigins.length === 0 ? {} : { cors: { origin: corsOrigin(config.corsOrigins) } }),
  });
  const binding = bindChannels(io, hub, {
    maxSubscriptions: config.maxSubscriptions,
    maxQueuedBytes: config.maxQueuedBytes,
    fanOut: holdfast.fanOut,
    onEvent: (event) => logEvent(log, event),
  });
  exportCounters(registry, hub, binding.counters, holdfast.counters);
  const { address, port } = await listen(http, config.port, config.host);
  log.info({ address, port, path }, "listening");

  const end = async () => {
    binding.close();
    const closed = io.close();
    http.closeIdleConnections();
    const grace = setTimeout(() => {
      for (const connection of connections) connection.destroy();
    }, CLOSE_GRACE_MS);
    await closed;
    clearTimeout(grace);
    await closeChannels();
    log.info("closed");
  };
  return runningServer(address, port, end);
}

/** All connections, upgraded ones too, which `closeAllConnections` of node:http leaves out. */
function track(http: HttpServer): ReadonlySet<Socket> {
  const connections = new Set<Socket>();
  http.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  return connections;
}

function corsOrigin(origins: readonly string[]): string | string[] {
  return origins.includes("*") ? "*" : [...origins];
}
