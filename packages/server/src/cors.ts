import type { FastifyInstance } from "fastify";

/** Lets pages of other origins call: the answers that browsers ask for (Fetch standard, "CORS protocol"). */
export function allowOrigins(app: FastifyInstance, origins: readonly string[]): void {
  if (origins.length === 0) return;
  app.addHook("onRequest", async (request, reply) => {
    const { origin } = request.headers;
    if (origin === undefined) return;
    reply.header("vary", "Origin");
    if (!origins.includes("*") && !origins.includes(origin)) return;
    reply.header("access-control-allow-origin", origins.includes("*") ? "*" : origin);
    if (request.method !== "OPTIONS" || !request.headers["access-control-request-method"]) return;
    reply.header("access-control-allow-methods", "GET, POST");
    reply.header("access-control-allow-headers", "Content-Type, Idempotency-Key");
    reply.header("access-control-max-age", "600");
    return reply.code(204).send();
  });
}
