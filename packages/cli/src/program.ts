import { Command, CommanderError } from "commander";
import { apiCommand } from "./commands/api.ts";
import { brokerCommand } from "./commands/broker.ts";
import { ingressCommand } from "./commands/ingress.ts";
import { labCommand } from "./commands/lab.ts";
import { publishCommand } from "./commands/publish.ts";
import { serverCommand } from "./commands/server.ts";
import { complaintOf, formatComplaint } from "./complaint.ts";
import { CliError, EXIT } from "./errors.ts";
import { styleFor } from "./style.ts";
import { version } from "./version.ts";

/** The `holdfast` command with all its subcommands. `onExit` is told a subcommand's exit code when it has run. */
export function createProgram(onExit: (code: number) => void = () => {}): Command {
  const program = new Command("holdfast")
    .description("Keeps Socket.IO clients on their server, and their messages whole when that fails.")
    .showHelpAfterError("(add --help for how to use it)")
    .version(version, "--version")
    .exitOverride()
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 the answer is no (the message says why), 2 the command was misused.",
    );
  for (const make of [labCommand, ingressCommand, serverCommand, apiCommand, brokerCommand, publishCommand]) {
    program.addCommand(make(onExit).copyInheritedSettings(program));
  }
  return program;
}

/** Runs the command with these arguments. Resolves with the exit code, once everything it started has ended. */
export async function run(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.OK;
  try {
    const program = createProgram((code) => {
      exitCode = code;
    });
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has written its own message, and the help where there was no command.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.OK : EXIT.MISUSE;
    process.stderr.write(`${formatComplaint(complaintOf(error), styleFor(process.stderr))}\n`);
    return exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  // A server's arguments are its environment, and an ingress' options are flags.
  const misuse = ["CONFIG_INVALID", "OPTION_INVALID"];
  return error instanceof Error && "code" in error && misuse.includes(String(error.code))
    ? EXIT.MISUSE
    : EXIT.NO;
}
