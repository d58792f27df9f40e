import {
  type CallMessage,
  type Calls,
  CPU_TIME_CALL,
  type Handlers,
  MEMORY_CALL,
  type ReplyMessage,
} from "./calls.ts";
import { ownCpuTime } from "./cpu-time.ts";

/**
 * The child's half of a bench process: answers the harness's calls until the harness goes, then exits. Call it once,
 * when everything the handlers need is there: it is what tells the harness to begin.
 *
 * A handler that throws fails its call; one whose reply nobody waits for ends the process, which fails the bench.
 */
export function answerHarness<C extends Calls>(handlers: Handlers<C>): void {
  const byName = new Map<string, (argument: never) => unknown>(Object.entries(handlers));
  byName.set(CPU_TIME_CALL, ownCpuTime);
  byName.set(MEMORY_CALL, () => process.memoryUsage.rss());
  process.on("message", ({ name, argument, id }: CallMessage) => {
    const handler = byName.get(name);
    if (!handler) throw new Error(`the harness asked for "${name}", which this process doesn't answer`);
    if (id === undefined) {
      handler(argument as never);
      return;
    }
    Promise.resolve()
      .then(() => handler(argument as never))
      .then(
        (reply) => send({ type: "reply", id, reply }),
        (error: unknown) =>
          send({ type: "failed", id, message: error instanceof Error ? error.message : String(error) }),
      );
  });
  // A harness that was killed leaves no process behind.
  process.on("disconnect", () => process.exit());
  send({ type: "ready" });
}

function send(message: ReplyMessage): void {
  if (!process.send) throw new Error("this is a part of a bench: start it with bench/main.ts");
  process.send(message);
}
