import { createServer, request } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { buffer } from "node:stream/consumers";

export interface RoundRobin {
  readonly url: string;
  /** Requests and upgrades so far. */
  readonly turns: number;
  /** Where the next ones go, in turn; one that can't be reached is passed over, as a balancer does. */
  setPorts(ports: readonly number[]): void;
  close(): Promise<void>;
}

/** A balancer without any affinity: every request and every upgrade goes to the next server of 127.0.0.1. */
export async function roundRobin(ports: readonly number[]): Promise<RoundRobin> {
  let targets = ports;
  let turns = 0;
  const next = () => targets[turns++ % targets.length] ?? 0;
  const open = new Set<Socket>();
  const server = createServer(async (req, res) => {
    // Whole, so that it can be sent to another one.
    const body = await buffer(req).catch(() => undefined);
    if (!body) return;
    const attempt = (left: number) => {
      const { method = "GET", url: path = "/", rawHeaders } = req;
      const port = next();
      const upstream = request({ host: "127.0.0.1", port, method, path, headers: rawHeaders, agent: false });
      upstream.once("response", (answer) => {
        res.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
        answer.pipe(res);
        answer.once("error", () => res.destroy());
      });
      upstream.once("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "ECONNREFUSED" && left > 0) attempt(left - 1);
        else res.destroy();
      });
      res.once("close", () => upstream.destroy());
      upstream.end(body);
    };
    attempt(targets.length);
  });
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  server.on("upgrade", (req, socket, head) => {
    const upstream = connect(next(), "127.0.0.1", () => {
      let text = `${req.method} ${req.url} HTTP/1.1\r\n`;
      for (let at = 0; at < req.rawHeaders.length; at += 2)
        text += `${req.rawHeaders[at]}: ${req.rawHeaders[at + 1]}\r\n`;
      upstream.write(`${text}\r\n`);
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    const end = () => {
      socket.destroy();
      upstream.destroy();
    };
    for (const one of [socket, upstream]) one.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get turns() {
      return turns;
    },
    setPorts(now) {
      targets = now;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
