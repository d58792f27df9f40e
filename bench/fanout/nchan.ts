import { Agent, request } from "node:http";
import type { Command } from "../command-process.ts";
import type { DebianPackage } from "../debian-package.ts";

const MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/** nginx with the module that makes a pub/sub server of it: https://nchan.io */
export const NCHAN_PACKAGES: readonly DebianPackage[] = [
  { command: "nginx", name: "nginx" },
  { command: "nginx", name: "libnginx-mod-nchan", file: MODULE },
];

const PUBLISH = "/publish";
/** nginx closes idle connections when 1/16 of its slots is left. */
const SPARE = 1.2;

/** One process, one channel: WebSocket subscribers at `/`, messages by POST. It keeps the last few messages, as it does by default. */
export function nchan(port: number, connections: number): Command {
  const configuration = `
load_module ${MODULE};
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {
  worker_connections ${Math.ceil(connections * SPARE) + 100};
}
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = ${PUBLISH} {
      nchan_publisher;
      nchan_channel_id bench;
    }
    location = / {
      nchan_subscriber websocket;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }
  }
}
`;
  return {
    file: "nginx",
    args: ["-e", "stderr", "-p", "{folder}", "-c", "{folder}/nginx.conf"],
    files: { "nginx.conf": configuration },
    port,
  };
}

/** Publishes over one kept-alive connection, one message after the other. */
export class NchanPublisher {
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #failure = Promise.withResolvers<never>();

  constructor(port: number) {
    this.#port = port;
    this.#failure.promise.catch(() => {});
  }

  /** Rejects when a message was refused. */
  get failure(): Promise<never> {
    return this.#failure.promise;
  }

  publish(message: string): void {
    const { reject } = this.#failure;
    const posted = request(
      { host: "127.0.0.1", port: this.#port, path: PUBLISH, method: "POST", agent: this.#agent },
      (response) => {
        const { statusCode = 0 } = response;
        if (statusCode >= 300) reject(new Error(`nchan answered ${statusCode}`));
        response.resume();
      },
    );
    posted.on("error", reject);
    posted.end(message);
  }

  close(): void {
    this.#agent.destroy();
  }
}
