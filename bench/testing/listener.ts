import { createServer } from "node:net";

// Stands in for a server that isn't ours: it listens where it is told, and knows nothing of the bench.
const [port, settings] = process.argv.slice(2);
if (settings === undefined) {
  process.stderr.write("where are my settings?\n");
  process.exit(4);
}
const answer = JSON.stringify({ pid: process.pid, settings });
// Who only looks whether it listens is gone before the answer, and a connection that is reset is no reason to end.
createServer((socket) => socket.on("error", () => {}).end(answer)).listen(Number(port), "127.0.0.1");
