import type { Certificate } from "@holdfast/routing";
import { expect, test } from "vitest";
import { certificateFor } from "../../test/certificates.ts";
import { ServerCertificates } from "./server-certificates.ts";

const one = await certificateFor(["one.example"], "default/one");
const other = await certificateFor(["other.example"], "default/other");

test.each<[string, Certificate, RegExp]>([
  ["a certificate that can't be read", { ...one, chain: "rubbish" }, /^Secret default\/one: tls.crt is not/],
  ["a key that can't be read", { ...one, privateKey: "rubbish" }, /^Secret default\/one: tls.key is not a /],
  [
    "a key of another certificate",
    { ...one, privateKey: other.privateKey },
    /^Secret default\/one: tls.key is not the key/,
  ],
])("refuses %s, and names the Secret and nothing that it holds", (_what, bad, message) => {
  const make = () => new ServerCertificates([other, bad]);
  expect(make).toThrowError(
    expect.objectContaining({ code: "CERTIFICATE_INVALID", message: expect.stringMatching(message) }),
  );
  expect(make).not.toThrowError(/rubbish|BEGIN/);
});

test("goes by the common name only where there is no DNS name", async () => {
  const common = await certificateFor([], "default/common");
  const certificates = new ServerCertificates([one, common]);
  expect(certificates.contextFor("common.example")).toBeDefined();
  expect(certificates.contextFor("else.example")).toBeUndefined();
});

test("has nothing for a name that can't be one", () => {
  const certificates = new ServerCertificates([one, other]);
  for (const name of ["", "\0", "one.example\0", "*", "\u00ff", ".", "x".repeat(70_000)]) {
    expect(certificates.contextFor(name)).toBeUndefined();
  }
});

test("knows whether it was made from the same certificates", () => {
  const certificates = new ServerCertificates([one, other]);
  expect(certificates.isOf([{ ...one }, other])).toBe(true);
  expect(certificates.isOf([other, one])).toBe(false);
  expect(certificates.isOf([one])).toBe(false);
});
