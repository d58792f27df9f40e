import type { AddressInfo } from "node:net";
import { type Broker, formatCursor } from "@holdfast/broker";
import { encodeMessage } from "@holdfast/hub";
import Fastify, { type FastifyInstance } from "fastify";
import { Counter } from "prom-client";
import { API_ERRORS, ApiError, toApiError } from "./api-errors.ts";
import { openConfiguredBroker } from "./broker-client.ts";
import type { ApiConfig } from "./config.ts";
import { allowOrigins } from "./cors.ts";
import { createLog, type Log } from "./log.ts";
import { createRegistry } from "./metrics.ts";
import { parseBody, readChannel, readIdempotencyKey, readMessage } from "./publish-request.ts";
import { KEEP_ALIVE_MS, listenError, type RunningServer, runningServer } from "./running-server.ts";

/**
 * The publish API: appends to channels' logs over HTTP, by docs/protocol.md.
 *
 * @throws ServerError `PORT_IN_USE`, `LISTEN_FAILED`; BrokerError as `openAnyBroker` does
 */
export async function startApi(config: ApiConfig): Promise<RunningServer> {
  const log = createLog("api", config);
  const broker = openConfiguredBroker(config, log);
  const app = createApp(config, broker, log);
  const end = async () => {
    await app.close();
    await broker.close();
    log.info("closed");
  };
  try {
    await app.listen({ port: config.port, host: config.host ?? "::" });
  } catch (error) {
    await end();
    throw listenError(error as NodeJS.ErrnoException, config.port, config.host);
  }
  const { address, port } = app.server.address() as AddressInfo;
  log.info({ address, port, basePath: config.basePath }, "listening");
  return runningServer(address, port, end);
}

function createApp(config: ApiConfig, broker: Broker, log: Log): FastifyInstance {
  const app = Fastify({
    bodyLimit: config.bodyLimit,
    forceCloseConnections: true,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // A channel's name is at most 200 characters, each of up to three in the path; longer ones get our own error.
    routerOptions: { maxParamLength: 4096 },
    frameworkErrors: (error, _request, reply) => {
      sendError(reply as ErrorReply, toApiError(error));
    },
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (_request: unknown, body: Buffer) => parseBody(body),
  );
  app.setNotFoundHandler((_request, reply) => sendError(reply, new ApiError("NOT_FOUND")));
  allowOrigins(app, config.corsOrigins);
  answerHealth(app, config, broker);

  const registry = createRegistry();
  const publishes = new Counter({
    name: "holdfast_publishes_total",
    help: "Publishes, by their outcome: accepted, duplicate, or the code of the error.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  app.get("/metrics", async (_request, reply) => {
    return reply.type(registry.contentType).send(await registry.metrics());
  });
  app.setErrorHandler((error, request, reply) => {
    const apiError = toApiError(error);
    publishes.inc({ outcome: apiError.code });
    if (API_ERRORS[apiError.code].status >= 500)
      log.error({ err: error, url: request.url }, apiError.message);
    return sendError(reply, apiError);
  });

  const channels = `${config.basePath}/v1/channels`;
  app.post<{ Params: { channel: string } }>(`${channels}/:channel/entries`, async (request, reply) => {
    const channel = readChannel(request.params.channel);
    const idempotencyKey = readIdempotencyKey(request.headers["idempotency-key"]);
    if (request.body === undefined) throw new ApiError("BODY_INVALID_JSON");
    const data = encodeMessage(readMessage(request.body));
    const published = await broker.publish(
      channel,
      data,
      idempotencyKey === undefined ? {} : { idempotencyKey },
    );
    const { position, duplicate } = published;
    publishes.inc({ outcome: duplicate ? "duplicate" : "accepted" });
    reply.code(duplicate ? 200 : 201);
    return { channel, offset: position.offset, cursor: formatCursor(position), duplicate };
  });
  for (const path of [channels, `${channels}/`, `${channels}/entries`]) {
    app.post(path, async () => {
      throw new ApiError("CHANNEL_MISSING");
    });
  }
  return app;
}

/** `/` and the base path are a 200 for Google's load balancer, which asks for one where a pod has no readiness probe. */
function answerHealth(app: FastifyInstance, config: ApiConfig, broker: Broker): void {
  let isAvailable = false;
  const unwatch = broker.watch((status) => {
    isAvailable = status.type === "available";
  });
  app.addHook("onClose", async () => unwatch());
  const paths = new Set(["", config.basePath]);
  for (const base of paths) {
    app.get(base === "" ? "/" : base, async () => "Holdfast publish API\n");
    app.get(`${base}/healthz`, async () => "ok\n");
    app.get(`${base}/readyz`, async (_request, reply) => {
      if (isAvailable) return "ready\n";
      return reply.code(503).send("not ready: the broker can't be reached\n");
    });
  }
}

interface ErrorReply {
  code(status: number): { send(body: unknown): unknown };
}

function sendError(reply: ErrorReply, error: ApiError): unknown {
  const { status, retryable } = API_ERRORS[error.code];
  return reply.code(status).send({ error: { code: error.code, message: error.message, retryable } });
}
