import type { PassedOver } from "@holdfast/kubernetes";
import type { Lab, LabEvent } from "@holdfast/lab";
import type { Mend } from "@holdfast/routing";
import type { Complaint } from "./complaint.ts";

/** A lab that is ready, and how long that took. */
export interface LabReady {
  readonly lab: Lab;
  readonly ms: number;
  /** Where the lab's broker is, without the token that it asks for. */
  readonly brokerUrl: string;
}

/** What `holdfast lab` tells, in the order it happens; once for people and once for programs. */
export interface LabReport {
  mended(mend: Mend): void;
  passedOver(object: PassedOver): void;
  complaint(complaint: Complaint): void;
  event(event: LabEvent): void;
  ready(ready: LabReady): void;
  closing(): void;
}

/** An address as a link; an IPv6 host needs brackets there. */
export function urlOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
