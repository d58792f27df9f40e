import { createHash, randomBytes } from "node:crypto";
import type { Deployment } from "@holdfast/routing";

/** The letters that Kubernetes makes names of: none that could spell a word, none that look alike. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";

/** Kubernetes cuts the stem of a generated name so that it stays within the 63 characters of a DNS label. */
const MAX_STEM = 58;

/** The `pod-template-hash` of a Deployment: the same for the same template, as in Kubernetes. */
export function templateHash(deployment: Deployment): string {
  const digest = createHash("sha256").update(JSON.stringify(deployment.spec.template)).digest();
  return letters(digest.subarray(0, 10));
}

/** A name as Kubernetes makes it: `<deployment>-<template hash>-<5 random characters>`, other than those taken. */
export function podName(deployment: Deployment, taken: ReadonlySet<string>): string {
  const stem = `${deployment.metadata.name}-${templateHash(deployment)}-`.slice(0, MAX_STEM);
  for (;;) {
    const name = stem + letters(randomBytes(5));
    if (!taken.has(name)) return name;
  }
}

function letters(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}
