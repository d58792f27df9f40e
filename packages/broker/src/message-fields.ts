import type { Field, FieldReader } from "./frame.ts";
import type { Position } from "./port.ts";

/** The version of the protocol that a served broker and its connections speak. */
export const PROTOCOL = 3;

/** The most channels that one frame names. */
export const CHANNELS_PER_FRAME = 1000;

// Bounds on texts, in characters: what the port allows, and somewhat more where the server answers with a code.
export const CHANNEL = 1024;
export const EPOCH = 64;
export const TAG = 16;

export function position({ epoch, offset, tag }: Position): Field[] {
  return [epoch, offset, tag];
}

export function readPosition(fields: FieldReader): Position {
  return { epoch: fields.text(EPOCH), offset: fields.count(), tag: fields.text(TAG) };
}
