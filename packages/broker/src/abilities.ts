/** `true`, or why the engine has it not, in a sentence for people. */
export type Ability = true | string;

/**
 * What engines may differ in, declared as data: nobody asks for an engine's class. Whatever is not in this list, every
 * engine does. A call that needs an ability which the engine lacks is refused with `ABILITY_MISSING`, and its detail
 * is the reason given here; `durable`, `atomicBatch` and `oneSequence` have no call of their own, so nothing is refused.
 */
export interface Abilities {
  /** What was accepted outlives the broker's own process, however that ended. */
  readonly durable: Ability;
  /** `publishAll` of valid publications is accepted as a whole or not at all, whatever breaks meanwhile. */
  readonly atomicBatch: Ability;
  /** `seq` increases over all channels, and entries of all channels are delivered in its order. */
  readonly oneSequence: Ability;
  /** `PublishOptions.retention`: a channel's own bounds, by count and by age. */
  readonly retention: Ability;
  /** `notify`. */
  readonly volatile: Ability;
  /** `history` backwards. */
  readonly backwards: Ability;
  /** `leases`. */
  readonly leases: Ability;
}
