/**
 * The image `serve_hostname`: answers every request with its pod's name, as the demo server of that name in the
 * Kubernetes project does, and 200 at `/healthz`.
 */
import { createServer } from "node:http";
import { hostname } from "node:os";

const name = process.env.HOSTNAME || hostname();
const server = createServer((request, response) => {
  const health = request.url === "/healthz";
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(health ? "ok" : name);
});

server.listen(Number(process.env.PORT || 9376), process.env.POD_IP || undefined, () => {
  console.log(`serving ${name}`);
});
process.once("SIGTERM", () => {
  server.close();
  server.closeIdleConnections();
});
