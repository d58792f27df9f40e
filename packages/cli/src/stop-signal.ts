import { EXIT } from "./errors.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Aborted by the first Ctrl-C, SIGTERM or closed terminal, so that a command can end in order. A second signal ends the
 * process at once.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.INTERRUPTED);
    controller.abort();
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  // Whoever reads the output has gone (`holdfast lab | head`): there is nobody left to run for.
  process.stdout.on("error", () => controller.abort());
  return controller.signal;
}

/** Resolves once the signal is aborted. */
export function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
