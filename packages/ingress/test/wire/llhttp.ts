import { createRequire } from "node:module";

/** Node's own HTTP parser, as far as it is used here. Its callbacks are properties with numbers for names. */
interface NodeParser {
  [callback: number]: unknown;
  initialize(type: number, resource: object, maxHeaderSize: number, lenient: number): void;
  execute(bytes: Buffer): number | (Error & { code: string; bytesParsed: number });
  finish(): undefined | (Error & { code: string });
}

interface NodeParserClass {
  new (): NodeParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
  readonly kLenientAll: number;
}

const { HTTPParser } = createRequire(import.meta.url)("node:_http_common") as { HTTPParser: NodeParserClass };

/** A message as Node's parser read it. */
export interface ParsedMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly reason: string;
  /** Name, value, name, value. */
  readonly fields: readonly string[];
  readonly upgrade: boolean;
  readonly body: Buffer;
  readonly trailers: readonly string[];
  readonly complete: boolean;
}

export interface Parsed {
  readonly messages: readonly ParsedMessage[];
  /** Node's code of the error that ended it. */
  readonly error: string | undefined;
}

export interface ParseOptions {
  readonly lenient?: boolean;
  /** Whether the nth answer (interim ones counted) has no body because it answers HEAD. */
  readonly bodiless?: (status: number) => boolean;
  /** The connection ends behind the bytes. */
  readonly ended?: boolean;
}

type Building = { -readonly [Key in keyof ParsedMessage]: ParsedMessage[Key] } & { pieces: Buffer[] };

const METHODS: readonly string[] = createRequire(import.meta.url)("node:_http_common").methods;
const parser = new HTTPParser();

export function parseRequests(bytes: Buffer, options: ParseOptions = {}): Parsed {
  return parse(HTTPParser.REQUEST, bytes, options);
}

export function parseResponses(bytes: Buffer, options: ParseOptions = {}): Parsed {
  return parse(HTTPParser.RESPONSE, bytes, options);
}

function parse(
  type: number,
  bytes: Buffer,
  { lenient = false, bodiless, ended = false }: ParseOptions,
): Parsed {
  const messages: Building[] = [];
  let current: Building | undefined;
  let flushed: string[] = [];
  let flushedTarget = "";
  // Past some number fields come in parts, and trailers come the same way.
  parser[HTTPParser.kOnHeaders | 0] = (fields: string[], target: string) => {
    if (current) current.trailers = [...current.trailers, ...fields];
    else {
      flushed = [...flushed, ...fields];
      flushedTarget += target;
    }
  };
  parser[HTTPParser.kOnHeadersComplete | 0] = (
    _major: number,
    _minor: number,
    fields: string[] | undefined,
    method: number | undefined,
    target: string | undefined,
    status: number | undefined,
    reason: string | undefined,
    upgrade: boolean,
  ) => {
    current = {
      method: method === undefined ? "" : (METHODS[method] ?? ""),
      target: target ?? flushedTarget,
      status: status ?? 0,
      reason: reason ?? "",
      fields: fields ?? flushed,
      upgrade,
      body: Buffer.alloc(0),
      pieces: [],
      trailers: [],
      complete: false,
    };
    flushed = [];
    flushedTarget = "";
    messages.push(current);
    return bodiless?.(current.status) ? 1 : 0;
  };
  parser[HTTPParser.kOnBody | 0] = (piece: Buffer) => {
    current?.pieces.push(Buffer.from(piece));
  };
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    if (current) current.complete = true;
    current = undefined;
  };
  parser.initialize(type, {}, 0, lenient ? HTTPParser.kLenientAll : 0);
  const result = parser.execute(bytes);
  let error = typeof result === "number" ? undefined : result.code;
  if (error === undefined && ended) error = parser.finish()?.code;
  for (const message of messages) message.body = Buffer.concat(message.pieces);
  return { messages, error };
}
