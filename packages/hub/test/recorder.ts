import type { Entry, Position, Unrecoverable } from "@holdfast/broker";
import type { Outlet } from "../src/outlet.ts";

/** An outlet that keeps what it is told, in words. */
export class Recorder implements Outlet {
  readonly told: string[] = [];

  deliver(channel: string, entry: Entry): void {
    this.told.push(`${channel} ${entry.offset} ${new TextDecoder().decode(entry.data)}`);
  }

  reset(channel: string, head: Position, reason: Unrecoverable): void {
    this.told.push(`${channel} reset ${reason} ${head.offset}`);
  }

  volatile(channel: string, data: Uint8Array): void {
    this.told.push(`${channel} volatile ${new TextDecoder().decode(data)}`);
  }
}
