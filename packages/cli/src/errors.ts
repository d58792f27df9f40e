/** The exit codes of every command. */
export const EXIT = {
  OK: 0,
  /** The answer is no: manifests that can't run, a port in use, a publish that was refused. */
  NO: 1,
  /** The command was not given what it needs: an unknown flag, a path that does not exist, nothing at all. */
  MISUSE: 2,
  /** Ended by a second Ctrl-C: 128 and the signal's number. */
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Every error of the command line itself, with the code that the process ends with. */
const CLI_ERRORS = {
  /** What a flag or an argument says can't be understood. */
  ARGUMENT_INVALID: EXIT.MISUSE,
  /** A file that a flag names can't be read, or not understood. */
  FILE_INVALID: EXIT.MISUSE,
  /** Standard input is longer than any manifest. */
  STDIN_TOO_LARGE: EXIT.NO,
  /** The publish API said no, or can't be reached. */
  PUBLISH_REFUSED: EXIT.NO,
  PUBLISH_UNREACHABLE: EXIT.NO,
} as const satisfies Record<string, ExitCode>;

export type CliErrorCode = keyof typeof CLI_ERRORS;

export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: CliErrorCode;
  readonly exitCode: ExitCode;
  readonly retryable: boolean;
  readonly fix: string | undefined;

  constructor(
    code: CliErrorCode,
    message: string,
    options: ErrorOptions & { readonly fix?: string; readonly retryable?: boolean } = {},
  ) {
    super(message, options);
    this.code = code;
    this.exitCode = CLI_ERRORS[code];
    this.retryable = options.retryable ?? code === "PUBLISH_UNREACHABLE";
    this.fix = options.fix;
  }
}
