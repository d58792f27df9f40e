import { differAll, type Tally } from "../packages/ingress/test/wire/differential.ts";

/** Inputs between two lines of progress. */
const BATCH = 100_000;

/** Puts damaged HTTP through the ingress' codec and Node's parser behind it. @returns whether both always agreed */
export function wire(first: number, inputs: number, json: boolean): boolean {
  const started = performance.now();
  const total: Tally = { inputs: 0, passed: 0, refused: 0, confirmed: 0 };
  while (total.inputs < inputs) {
    try {
      const tally = differAll(first + total.inputs, Math.min(BATCH, inputs - total.inputs));
      for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key];
    } catch (error) {
      const [, seed] = /^Input (\d+)/.exec(error instanceof Error ? error.message : "") ?? [];
      console.error(error instanceof Error ? error.message : error);
      console.error(`Replay with: npm run faults -- wire --seed ${seed ?? first} --inputs 1`);
      return false;
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      json
        ? JSON.stringify({ seed: first, ...total })
        : `${total.inputs} inputs from seed ${first}: ${total.passed} messages passed, ${total.confirmed} confirmed in the ` +
            `input, ${total.refused} inputs refused, 0 differences, ${seconds} s`,
    );
  }
  return true;
}
