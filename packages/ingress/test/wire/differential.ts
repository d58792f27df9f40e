import { METHODS } from "node:http";
import { type Random, seededRandom } from "@holdfast/broker/testing";
import { CHUNKED, type RequestHead } from "../../src/http1/request-head.ts";
import type { ResponseHead } from "../../src/http1/response-head.ts";
import { type Passage, passRequests, passResponses } from "./codec-relay.ts";
import { requestInput, responseInput } from "./inputs.ts";
import { type Parsed, type ParsedMessage, parseRequests, parseResponses } from "./llhttp.ts";
import { pieces } from "./mutation.ts";

/** What a run of inputs came to. */
export interface Tally {
  inputs: number;
  /** Messages that were passed on, whole. */
  passed: number;
  /** Inputs that were refused at some place. */
  refused: number;
  /** Messages of the raw input that Node's parser read too, and found the same in. */
  confirmed: number;
}

/** Puts as many inputs through as told. @throws Error that names the input's seed, and shows where the two sides differ */
export function differAll(first: number, inputs: number): Tally {
  const tally = { inputs: 0, passed: 0, refused: 0, confirmed: 0 };
  for (let seed = first; seed < first + inputs; seed++) {
    try {
      differ(seed, tally);
    } catch (cause) {
      throw new Error(`Input ${seed}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  }
  return tally;
}

/**
 * Makes an input from the seed, passes it through the codec, and has Node's parser read what came out. It must find
 * the same messages there: no error, no byte too many, the same method, target, fields, framing and body; with all
 * its leniencies on as well. Of the messages that it also finds in the raw input, method and body must be the same
 * there, and what it refuses there must not be passed on.
 *
 * @throws Error that says where the two differ, with the input
 */
function differ(seed: number, tally: Tally): void {
  const random = seededRandom(seed);
  tally.inputs++;
  if (random.below(2) === 0) requests(random, tally);
  else responses(random, tally);
}

function requests(random: Random, tally: Tally): void {
  const text = requestInput(random);
  const passage = passRequests(pieces(text, random));
  const complain = complaint(text, passage);
  count(passage, tally);
  // Node's parser knows a list of methods only; a codec lets any token through.
  if (passage.messages.some(({ head }) => !METHODS.includes(head.method))) return;
  for (const lenient of leniencies(random)) {
    compare(passage, parseRequests(passage.passed, { lenient }), complain, (head, parsed) => {
      if (parsed.method !== head.method) return "the method";
      if (parsed.target !== head.target) return "the target";
      return requestFields(head, parsed.fields);
    });
  }
  const raw = parseRequests(Buffer.from(text, "latin1"));
  strict(passage, raw, complain);
  for (const [index, { head, body, complete }] of passage.messages.entries()) {
    const parsed = raw.messages[index];
    if (!parsed?.complete || !complete || parsed.upgrade) break;
    if (parsed.method !== head.method) complain(`message ${index} has another method than its input`);
    if (!parsed.body.equals(body)) complain(`message ${index} has another body than its input`);
    tally.confirmed++;
  }
}

function responses(random: Random, tally: Tally): void {
  const { text, asked, ended } = responseInput(random);
  const passage = passResponses(pieces(text, random), asked, ended);
  const complain = complaint(text, passage, asked, ended);
  count(passage, tally);
  /** Which of the answers, as they come, have no body. */
  const withoutBody = () => {
    let answered = 0;
    return (status: number) => {
      // Node's parser knows only some of the interim answers to have no body (RFC 9110 §15.2: all of them).
      if (status < 200) return status > 101;
      return asked[answered++]?.method === "HEAD";
    };
  };
  const last = passage.messages.at(-1);
  for (const lenient of leniencies(random)) {
    const options = { lenient, bodiless: withoutBody(), ended: passage.closed && last?.complete === true };
    compare(passage, parseResponses(passage.passed, options), complain, (head, parsed) => {
      if (parsed.status !== head.status) return "the status";
      if (parsed.reason !== head.reason) return "the reason";
      return responseFields(head, parsed.fields);
    });
  }
  if (asked.some(({ minor }) => minor === 0)) return;
  const raw = parseResponses(Buffer.from(text, "latin1"), { bodiless: withoutBody(), ended });
  strict(passage, raw, complain);
  for (const [index, { head, body, complete }] of passage.messages.entries()) {
    const parsed = raw.messages[index];
    if (!parsed?.complete || !complete || parsed.upgrade) break;
    if (parsed.status !== head.status) complain(`message ${index} has another status than its input`);
    if (!parsed.body.equals(body)) complain(`message ${index} has another body than its input`);
    tally.confirmed++;
  }
}

/** With its leniencies Node's parser is asked now and then only: they differ seldom from its strict ways. */
function leniencies(random: Random): readonly boolean[] {
  return random.below(4) === 0 ? [false, true] : [false];
}

function count(passage: Passage<unknown>, tally: Tally): void {
  tally.passed += passage.messages.filter(({ complete }) => complete).length;
  if (passage.refused) tally.refused++;
}

function compare<Head>(
  passage: Passage<Head>,
  parsed: Parsed,
  complain: (what: string) => never,
  different: (head: Head, parsed: ParsedMessage) => string | undefined,
): void {
  if (parsed.error !== undefined) complain(`Node's parser refuses what was passed on: ${parsed.error}`);
  if (parsed.messages.length !== passage.messages.length) {
    complain(`Node's parser finds ${parsed.messages.length} messages in what was passed on`);
  }
  for (const [index, message] of passage.messages.entries()) {
    const found = parsed.messages[index] as ParsedMessage;
    const what = different(message.head, found);
    if (what !== undefined) complain(`message ${index} differs in ${what}`);
    if (!found.body.equals(message.body)) complain(`message ${index} differs in the body`);
    if (found.complete !== message.complete) complain(`message ${index} is whole for one side only`);
  }
}

/**
 * What Node's parser refuses, strict as it is by default, must not be passed on whole. Only where an interim answer
 * says that the connection closes, it takes nothing more, while the answer itself is still to come.
 */
function strict(passage: Passage<unknown>, raw: Parsed, complain: (what: string) => never): void {
  const read = raw.messages.filter(({ complete }) => complete).length;
  const refused = raw.error !== undefined && raw.error !== "HPE_CLOSED_CONNECTION";
  if (refused && passage.messages[read]?.complete === true) {
    complain(`message ${read} is passed on, and refused by Node's parser: ${raw.error}`);
  }
}

function requestFields(head: RequestHead, fields: readonly string[]): string | undefined {
  const kept = linesOf(head.fields);
  if (fields[0] !== "Host" || fields[1] !== head.host) return "Host";
  const rest = fields.slice(2);
  if (kept.some((part, index) => rest[index] !== part)) return "the kept fields";
  const added = lowerCased(rest.slice(kept.length));
  if (added.get("x-forwarded-for") !== FROM) return "X-Forwarded-For";
  const framing = [added.get("transfer-encoding"), added.get("content-length")];
  const expected =
    head.body === CHUNKED
      ? ["chunked", undefined]
      : [undefined, head.body === 0 ? framing[1] : String(head.body)];
  if (framing[0] !== expected[0] || framing[1] !== expected[1]) return "the framing";
  return forbidden(kept, OURS_IN_REQUESTS);
}

function responseFields(head: ResponseHead, fields: readonly string[]): string | undefined {
  const kept = linesOf(head.fields);
  if (kept.some((part, index) => fields[index] !== part)) return "the kept fields";
  return forbidden(kept, OURS_IN_RESPONSES);
}

const FROM = "203.0.113.7";
const OURS_IN_RESPONSES =
  /^(?:content[-_]length|transfer[-_]encoding|connection|keep[-_]alive|te|trailer|upgrade|proxy[-_]connection)$/i;
const OURS_IN_REQUESTS = new RegExp(
  `${OURS_IN_RESPONSES.source}|^(?:host|expect|x[-_]forwarded[-_].*|forwarded)$`,
  "i",
);

function forbidden(kept: readonly string[], ours: RegExp): string | undefined {
  return kept.find((part, index) => index % 2 === 0 && ours.test(part));
}

function linesOf(fields: string): string[] {
  return fields
    .split("\r\n")
    .slice(0, -1)
    .flatMap((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, "")];
    });
}

function lowerCased(fields: readonly string[]): Map<string, string> {
  const map = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2)
    map.set((fields[at] ?? "").toLowerCase(), fields[at + 1] ?? "");
  return map;
}

function complaint(text: string, passage: Passage<unknown>, ...more: unknown[]): (what: string) => never {
  return (what) => {
    const shown = { input: text, more, passed: passage.passed.toString("latin1"), refused: passage.refused };
    throw new Error(`${what}\n${JSON.stringify(shown, undefined, 2)}`);
  };
}
