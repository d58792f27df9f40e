import { once } from "node:events";
import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import httpProxy from "http-proxy";
import { answerHarness } from "../../child.ts";
import { collectGarbage } from "../../garbage.ts";
import type { ProxyCalls } from "../calls.ts";

// It uses functions that Node has deprecated, which is no news to whoever runs a bench.
process.noDeprecation = true;

// As its documentation has it, with the keep-alive that it leaves to an agent.
answerHarness<ProxyCalls>({
  serve: async ({ podPort }) => {
    const proxy = httpProxy.createProxyServer({
      target: { host: "127.0.0.1", port: podPort },
      agent: new Agent({ keepAlive: true }),
      xfwd: true,
    });
    const server = createServer((request, response) => proxy.web(request, response));
    server.on("upgrade", (request, socket, head) => proxy.ws(request, socket, head));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  },
  collectGarbage: async () => {
    await collectGarbage();
  },
});
