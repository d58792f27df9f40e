import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { type Finding, formatPosition, mend, type RoutingModel, translate } from "@holdfast/routing";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { type Problem, readManifests } from "../src/mod.ts";

// Each situation is a manifest `NAME.in.yaml` and what Holdfast makes of it, `NAME.out.yaml`. With UPDATE_GOLDEN=1
// the latter is written anew: read the difference before committing it. The folder is left out of positions.
const FOLDER = join(import.meta.dirname, "golden");
const SUFFIX = ".in.yaml";

describe("what is made of a manifest", () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(SUFFIX));
  for (const name of names.map((file) => file.slice(0, -SUFFIX.length))) {
    it(`is as written down: ${name}`, async () => {
      const made = stringify(await outcome(join(FOLDER, name + SUFFIX)), {
        lineWidth: 0,
        aliasDuplicateObjects: false,
      }).replaceAll(`${FOLDER}${sep}`, "");
      const expected = join(FOLDER, `${name}.out.yaml`);
      if (process.env.UPDATE_GOLDEN === "1") writeFileSync(expected, made);
      expect(made).toBe(readFileSync(expected, "utf8"));
    });
  }
});

async function outcome(file: string) {
  const read = await readManifests([file]);
  const remade = await readManifests([file], { mend: true });
  const mended = mend(remade.objects);
  const mends = [...remade.mends, ...mended.mends];
  return {
    read: {
      objects: read.objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
      passedOver: read.passedOver.map(({ kind, name, at }) => `${formatPosition(at)} ${kind} ${name}`),
      problems: read.problems.map(line),
    },
    ...translated(translate(read.objects)),
    ...(mends.length === 0
      ? {}
      : {
          mended: {
            mends: mends.map(({ object, what, before, after, at }) => ({
              at: formatPosition(at),
              ...(object === undefined ? {} : { object }),
              what,
              before,
              after,
            })),
            problems: remade.problems.map(line),
            ...translated(translate(mended.objects)),
          },
        }),
  };
}

function translated({ model, findings }: { model: RoutingModel; findings: readonly Finding[] }) {
  return {
    model: {
      loadBalancers: model.loadBalancers.map(({ certificates, ...rest }) =>
        certificates === undefined
          ? rest
          : { ...rest, certificates: certificates.map(({ name }) => ({ name })) },
      ),
      backendServices: Object.fromEntries(model.backendServices),
    },
    findings: findings.map((one) => ({ ...one, at: formatPosition(one.at) })),
  };
}

function line({ code, message, fix, at }: Problem): string {
  return `${formatPosition(at)} ${code} ${message} | ${fix}`;
}
