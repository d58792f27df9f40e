import { generate } from "selfsigned";
import { beforeAll, describe, expect, it } from "vitest";
import { ingress, secret, service, to } from "../test/objects.ts";
import type { IngressTls, Secret } from "./objects.ts";
import { translate } from "./translate.ts";

const ALLOW_HTTP = "kubernetes.io/ingress.allow-http";

interface Pair {
  readonly chain: string;
  readonly privateKey: string;
}

async function pair(name: string): Promise<Pair> {
  const { cert, private: privateKey } = await generate([{ name: "commonName", value: name }], {
    keyType: "ec",
  });
  return { chain: cert, privateKey };
}

let one: Pair;
let other: Pair;
beforeAll(async () => {
  [one, other] = await Promise.all([pair("one.example.com"), pair("other.example.com")]);
});

const of = (name: string, { chain, privateKey }: Pair) =>
  secret(name, { "tls.crt": chain, "tls.key": privateKey });

function frontend(secrets: readonly Secret[], tls: readonly IngressTls[], annotations = {}) {
  const { model, findings } = translate([
    service("web"),
    ...secrets,
    ingress({ defaultBackend: to("web"), tls }, annotations),
  ]);
  return { balancer: model.loadBalancers[0], findings, codes: findings.map(({ code }) => code) };
}

describe("the certificates of an Ingress", () => {
  it("come in its own order, each once", () => {
    const secrets = [of("one", one), of("other", other)];
    const tls = [{ secretName: "other" }, {}, { secretName: "one" }, { secretName: "other" }];
    const { balancer, codes } = frontend(secrets, tls);
    expect(codes).toEqual([]);
    expect(balancer).toMatchObject({
      plainHttp: true,
      certificates: [
        { name: "default/other", ...other },
        { name: "default/one", ...one },
      ],
    });
  });

  it("may be a chain", () => {
    const chain = `${one.chain}\n${other.chain}`;
    const { balancer } = frontend([of("one", { ...one, chain })], [{ secretName: "one" }]);
    expect(balancer?.certificates).toMatchObject([{ chain }]);
  });

  it("are those that are there, with GKE's event for one that isn't", () => {
    const { balancer, findings } = frontend(
      [of("one", one)],
      [{ secretName: "gone" }, { secretName: "one" }],
    );
    expect(balancer?.certificates).toMatchObject([{ name: "default/one" }]);
    expect(findings).toMatchObject([
      {
        code: "GKE-L01",
        severity: "warning",
        message: 'Could not find TLS certificate: secrets "gone" not found',
      },
    ]);
  });

  it("leave plain HTTP when there are none", () => {
    const { balancer, codes } = frontend([], [{ secretName: "gone" }]);
    expect(balancer?.plainHttp).toBe(true);
    expect(balancer?.certificates).toBeUndefined();
    expect(codes).toEqual(["GKE-L01", "GKE-L02"]);
  });

  it.each([
    ["no certificate", () => secret("one", { "tls.key": one.privateKey }), "has no 'tls.crt'"],
    ["no key", () => secret("one", { "tls.crt": one.chain }), "has no 'tls.key'"],
    [
      "text for a certificate",
      () => of("one", { ...one, chain: "hello" }),
      "has no certificate in 'tls.crt', or more than 20 of them",
    ],
    [
      "a certificate that is none",
      () => of("one", { ...one, chain: one.chain.replace(/\n.{20}/, `\n${"A".repeat(20)}`) }),
      "has a 'tls.crt' that can't be read as certificates in PEM",
    ],
    [
      "text for a key",
      () => of("one", { ...one, privateKey: "s3cret" }),
      "has a 'tls.key' that can't be read as a private key in PEM",
    ],
    [
      "another certificate's key",
      () => of("one", { ...one, privateKey: other.privateKey }),
      "has a 'tls.key' that isn't the certificate's",
    ],
    [
      "too many certificates",
      () => of("one", { ...one, chain: one.chain.repeat(21) }),
      "has no certificate in 'tls.crt', or more than 20 of them",
    ],
    [
      "far too much",
      () => of("one", { ...one, chain: "A".repeat(300_000) }),
      "holds more than a certificate",
    ],
  ] as [string, () => Secret, string][])(
    "refuse the Ingress when a Secret holds %s, and never show it",
    (_what, broken, message) => {
      const { balancer, findings } = frontend([broken()], [{ secretName: "one" }]);
      expect(balancer).toBeUndefined();
      expect(findings).toMatchObject([
        { code: "GKE-L03", severity: "error", message: `secret "default/one" ${message}` },
      ]);
      expect(JSON.stringify(findings)).not.toMatch(/s3cret|hello|AAAA|BEGIN/);
    },
  );
});

describe("plain HTTP", () => {
  it.each(["false", "FALSE", "False", "f", "F", "0"])("is not served when %s says so", (value) => {
    const { balancer, codes } = frontend([of("one", one)], [{ secretName: "one" }], {
      [ALLOW_HTTP]: value,
    });
    expect(balancer).toMatchObject({ plainHttp: false, certificates: [{ name: "default/one" }] });
    expect(codes).toEqual([]);
  });

  it.each(["true", "no", "", "fAlse"])("is served with %j", (value) => {
    expect(frontend([], [], { [ALLOW_HTTP]: value }).balancer?.plainHttp).toBe(true);
  });

  it("forbidden without a certificate leaves no frontend, which GKE says", () => {
    const { balancer, findings } = frontend([], [], { [ALLOW_HTTP]: "false" });
    expect(balancer?.plainHttp).toBe(false);
    expect(findings).toMatchObject([
      { code: "GKE-L06", message: expect.stringContaining("Will not configure frontend") },
    ]);
  });

  it("together with HTTPS is refused in class gce-internal alone", () => {
    const both = (name: string, allow = "true") =>
      frontend([of("one", one)], [{ secretName: "one" }], {
        "kubernetes.io/ingress.class": name,
        [ALLOW_HTTP]: allow,
      });
    expect(both("gce-internal").codes).toContain("GKE-L05");
    expect(both("gce-internal").balancer).toBeUndefined();
    expect(both("gce-internal", "false").balancer).toBeDefined();
    expect(both("gce-regional-external").balancer).toBeDefined();
    expect(both("holdfast").balancer).toBeDefined();
  });
});
