import { setTimeout as pause } from "node:timers/promises";

/** Tries until nothing is thrown, as `vi.waitFor` does, which works in tests only. @throws what the last try threw */
export async function waitFor(
  act: () => void,
  { timeout, interval }: { readonly timeout: number; readonly interval: number },
): Promise<void> {
  const deadline = Date.now() + timeout;
  for (;;) {
    try {
      act();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await pause(interval);
  }
}
