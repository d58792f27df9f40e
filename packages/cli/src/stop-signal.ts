import { EXIT } from "./errors.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A terminal's one Ctrl-C reaches a command twice when npm, which is told too, passes it on. */
const ONE_AND_THE_SAME_MS = 300;

/**
 * Aborted by the first Ctrl-C, SIGTERM or closed terminal, so that a command can end in order. A second signal ends the
 * process at once.
 *
 * @param onHangUp called for SIGHUP, which then ends nothing; nor does it end anything that nobody reads the output
 */
export function stopSignal(onHangUp?: () => void): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = 0;
  const stop = (): void => {
    if (!controller.signal.aborted) {
      stoppedAt = performance.now();
      controller.abort();
    } else if (performance.now() - stoppedAt > ONE_AND_THE_SAME_MS) {
      process.exit(EXIT.INTERRUPTED);
    }
  };
  for (const signal of SIGNALS) process.on(signal, signal === "SIGHUP" && onHangUp ? onHangUp : stop);
  // Whoever reads the output has gone (`holdfast lab | head`): there is nobody left to run for, unless it is a service.
  process.stdout.on("error", () => {
    if (!onHangUp) controller.abort();
  });
  if (onHangUp) process.stderr.on("error", () => {});
  return controller.signal;
}

/** Resolves once the signal is aborted. */
export function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
