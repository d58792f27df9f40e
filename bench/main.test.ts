import { describe, expect, it } from "vitest";
import { runCommand } from "./testing/command.ts";

describe("bench command", () => {
  it("lists the benches and their options without a name", async () => {
    const { code, stdout } = await runCommand();
    expect(code).toBe(0);
    expect(stdout).toContain("  fanout: ");
    expect(stdout).toContain("--clients N");
    expect(stdout).toContain("  ingress: ");
    expect(stdout).toContain("sections: http, websocket, idle, growth");
  });

  it.each([
    [
      ["nothing"],
      'there is no bench "nothing"; there are: connections, fanout, ingress, log, routing, storm',
    ],
    [["--json", "fanout"], "the name of a bench comes first, before --json"],
    [["fanout", "--runs", "0"], '--runs is a whole number from 1 to 1000, not "0"'],
    [["fanout", "--clients", "1e9"], '--clients is a whole number from 1 to 15000, not "1e9"'],
    [["ingress", "--only", "http,smtp"], '--only: this bench has no "smtp"; it has: http, websocket'],
    [["fanout", "--only", "http"], '--only: this bench has no "http"; it has: cpu, latency'],
    [["connections", "--only", "http"], '--only: this bench has no "http"; it has: none'],
    [["fanout", "--subjects", "Holdfast,"], '--subjects: this bench has no ""; it has: stock Socket.IO'],
    [["fanout", "--colour", "red"], "Unknown option '--colour'"],
  ])("refuses %j with exit code 2", async (args, message) => {
    const { code, stdout, stderr } = await runCommand(...args);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
  });
});
