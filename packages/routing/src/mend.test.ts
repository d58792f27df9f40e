import { describe, expect, it } from "vitest";
import { ingress, service, to } from "../test/objects.ts";
import { mend } from "./mend.ts";
import type { Service } from "./objects.ts";
import { translate } from "./translate.ts";

const NEG = "cloud.google.com/neg";
const STANDALONE = '{"exposed_ports":{"80":{"name":"n"}}}';
const NAMED = '{"ingress":true,"exposed_ports":{"80":{"name":"n"}}}';

describe("mend", () => {
  it.each([
    [STANDALONE, "GKE-N01"],
    [NAMED, "GKE-N02"],
  ])("makes %s a NEG for the Ingress, which then is served", (before, code) => {
    const objects = [
      service("web", {}, { [NEG]: before, kept: "yes" }),
      ingress({ defaultBackend: to("web") }),
    ];
    expect(translate(objects).findings.map((one) => one.code)).toEqual([code]);
    const mended = mend(objects);
    expect(mended.mends).toMatchObject([
      {
        object: "Service default/web",
        before,
        after: '{"ingress": true}',
        at: { file: `test.yaml#metadata.annotations.${NEG}` },
      },
    ]);
    expect(mended.objects[0]?.metadata.annotations).toEqual({ [NEG]: '{"ingress": true}', kept: "yes" });
    expect(translate(mended.objects)).toMatchObject({
      findings: [],
      model: { loadBalancers: [{ name: "default/site" }] },
    });
  });

  it("leaves the objects given as they are", () => {
    const web = service("web", {}, { [NEG]: STANDALONE });
    mend([web, ingress({ defaultBackend: to("web") })]);
    expect(web.metadata.annotations[NEG]).toBe(STANDALONE);
  });

  it.each([
    ["a Service that no Ingress uses", service("other", {}, { [NEG]: STANDALONE }), {}],
    [
      "a Service of an Ingress that GKE ignores",
      service("web", {}, { [NEG]: STANDALONE }),
      { "kubernetes.io/ingress.class": "nginx" },
    ],
    [
      "a NodePort Service, which works without",
      service("web", { type: "NodePort" }, { [NEG]: STANDALONE }),
      {},
    ],
    ["an absent annotation, which GKE adds itself", service("web", {}, {}), {}],
    ["a broken annotation, whose meaning is open", service("web", {}, { [NEG]: '{"ingress":"true"}' }), {}],
    ["a sound annotation", service("web"), {}],
  ] as [string, Service, Record<string, string>][])("does not touch %s", (_what, one, annotations) => {
    const objects = [one, ingress({ defaultBackend: to("web") }, annotations)];
    const mended = mend(objects);
    expect(mended.mends).toEqual([]);
    expect(mended.objects[0]).toBe(one);
  });

  it("finds the Services of path rules too", () => {
    const rules = [{ host: "a.example.com" }, { paths: [{ path: "/*", backend: to("web") }] }];
    expect(mend([service("web", {}, { [NEG]: STANDALONE }), ingress({ rules })]).mends).toHaveLength(1);
  });
});
