import type { Command } from "../command-process.ts";
import type { DebianPackage } from "../debian-package.ts";

export interface Peer {
  readonly debianPackage: DebianPackage;
  readonly command: (options: PeerOptions) => Command;
}

export interface PeerOptions {
  /** Where it is to listen on 127.0.0.1. */
  readonly port: number;
  readonly podPort: number;
  /** Client connections that it must be able to hold. */
  readonly connections: number;
}

/** Connections to the pod that are kept when nothing is under way on them: more than the bench ever has. */
const KEPT_UPSTREAM = 256;
/** Requests on one connection: without an end, here as there. */
const ENDLESS = 1_000_000_000;
/** nginx closes idle keep-alive connections, WebSockets before their handshake too, when 1/16 of its slots is left. */
const NGINX_SPARE = 1.2;

/**
 * The peers, set up alike: one thread, HTTP/1.1 with keep-alive on both sides, `X-Forwarded-For`, WebSockets without an
 * end, no access log, everything else by default.
 */
export const PEERS: ReadonlyMap<string, Peer> = new Map([
  ["HAProxy", { debianPackage: { command: "haproxy", name: "haproxy" }, command: haproxy }],
  ["nginx", { debianPackage: { command: "nginx", name: "nginx" }, command: nginx }],
  ["Caddy", { debianPackage: { command: "caddy", name: "caddy" }, command: caddy }],
]);

function haproxy({ port, podPort, connections }: PeerOptions): Command {
  const configuration = `
global
  nbthread 1
  maxconn ${connections}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1d
  http-reuse always
  option forwardfor
frontend clients
  bind 127.0.0.1:${port}
  default_backend pods
backend pods
  server pod 127.0.0.1:${podPort}
`;
  return {
    file: "haproxy",
    args: ["-db", "-f", "{folder}/haproxy.cfg"],
    files: { "haproxy.cfg": configuration },
    port,
  };
}

function nginx({ port, podPort, connections }: PeerOptions): Command {
  const configuration = `
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {
  worker_connections ${Math.ceil(2 * connections * NGINX_SPARE)};
}
http {
  access_log off;
  keepalive_requests ${ENDLESS};
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {
    default upgrade;
    "" "";
  }
  upstream pods {
    server 127.0.0.1:${podPort};
    keepalive ${KEPT_UPSTREAM};
    keepalive_requests ${ENDLESS};
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://pods;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_read_timeout 1d;
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

function caddy({ port, podPort }: PeerOptions): Command {
  const configuration = `
{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${podPort} {
    transport http {
      keepalive_idle_conns_per_host ${KEPT_UPSTREAM}
    }
  }
}
`;
  return {
    file: "caddy",
    args: ["run", "--config", "{folder}/Caddyfile", "--adapter", "caddyfile"],
    environment: { GOMAXPROCS: "1" },
    files: { Caddyfile: configuration },
    port,
  };
}
