import { Session } from "node:inspector/promises";

/** Collects all the garbage of this process, so that its memory is what it holds and not what it has let go of. */
export async function collectGarbage(): Promise<void> {
  const session = new Session();
  session.connect();
  try {
    await session.post("HeapProfiler.collectGarbage");
  } finally {
    session.disconnect();
  }
}
