import { createServer, type Server as HttpServer } from "node:http";
import type { Socket } from "node:net";
import { Hub, type HubEvent } from "@holdfast/hub";
import { type BindingEvent, bindChannels, ownedSessionIds } from "@holdfast/socketio";
import { Server } from "socket.io";
import { openConfiguredBroker } from "./broker-client.ts";
import { ClientBundle } from "./client-bundle.ts";
import type { SocketServerConfig } from "./config.ts";
import { createLog, type Log } from "./log.ts";
import { createRegistry, exportCounters } from "./metrics.ts";
import { KEEP_ALIVE_MS, listen, type RunningServer, runningServer } from "./running-server.ts";
import { pageListener } from "./socket-server-pages.ts";

/** Connections that are not gone this long after a close was asked for are cut. */
const CLOSE_GRACE_MS = 500;

/**
 * One node: Socket.IO with the channels of a broker, its health, its metrics, and a page's files.
 *
 * @throws ServerError `PORT_IN_USE`, `LISTEN_FAILED`, `STATIC_MISSING`; BrokerError as `openAnyBroker` does
 */
export async function startSocketServer(config: SocketServerConfig): Promise<RunningServer> {
  const log = createLog("server", config);
  const broker = openConfiguredBroker(config, log);
  const hub = new Hub(broker, {
    node: config.node,
    probeIntervalMs: config.probeIntervalMs,
    probeTimeoutMs: config.probeTimeoutMs,
    onEvent: (event) => logHubEvent(log, event),
  });
  const closeChannels = async () => {
    await hub.close();
    await broker.close();
  };
  try {
    return await serve(config, hub, log, closeChannels);
  } catch (error) {
    await closeChannels();
    throw error;
  }
}

async function serve(
  config: SocketServerConfig,
  hub: Hub,
  log: Log,
  closeChannels: () => Promise<void>,
): Promise<RunningServer> {
  const { node, staticFolder, path } = config;
  const registry = createRegistry();
  const bundle = await ClientBundle.read(log);
  const isReady = () => hub.ready;
  const http = createServer(pageListener({ node, staticFolder, bundle, registry, isReady }));
  http.keepAliveTimeout = KEEP_ALIVE_MS;
  const connections = track(http);
  const io = new Server(http, {
    path,
    pingInterval: config.pingIntervalMs,
    pingTimeout: config.pingTimeoutMs,
    ...(config.corsOrigins.length === 0 ? {} : { cors: { origin: corsOrigin(config.corsOrigins) } }),
  });
  io.engine.generateId = ownedSessionIds(node);
  const binding = bindChannels(io, hub, {
    maxSubscriptions: config.maxSubscriptions,
    maxQueuedBytes: config.maxQueuedBytes,
    onEvent: (event) => logBindingEvent(log, event),
  });
  exportCounters(registry, hub, binding.counters);
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

function logHubEvent(log: Log, event: HubEvent): void {
  switch (event.type) {
    case "ready":
      log.info("ready: what this node publishes to itself comes back");
      break;
    case "unready":
      log.error({ err: event.error }, "not ready: what this node publishes to itself does not come back");
      break;
    case "broker-error":
      log.warn({ err: event.error, operation: event.operation, channel: event.channel }, "the broker failed");
      break;
    case "out-of-order":
      log.warn(
        event,
        "entries of several channels are handed out in another order than they were published in",
      );
      break;
    case "in-order":
      log.info("entries of all channels are handed out in one order again");
      break;
    case "reset":
      log.warn(
        { channel: event.channel, reason: event.reason },
        "entries of a channel were lost to this node",
      );
      break;
  }
}

function logBindingEvent(log: Log, event: BindingEvent): void {
  switch (event.type) {
    case "cut-off":
      log.warn(event, "a client did not read and was disconnected; it can resume");
      break;
    case "fan-out-ordinary":
      log.warn(event, "packets take Socket.IO's ordinary path: an installed package is of another kind");
      break;
    case "ended":
      log.warn({ err: event.error, channel: event.channel }, "a subscription failed; the client was told");
      break;
    case "unreadable":
      log.warn(event, "an entry is no message");
      break;
    case "delivery-failed":
      log.error({ err: event.error, channel: event.channel }, "an entry could not be handed to Socket.IO");
      break;
  }
}
