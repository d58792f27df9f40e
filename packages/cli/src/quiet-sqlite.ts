/**
 * Node 22 warns on stderr that its SQLite is experimental; Node 24 doesn't any more. A user can do nothing about it, so
 * that one warning is dropped, before anything loads `node:sqlite`. All others go their way.
 */
const emitWarning = process.emitWarning.bind(process) as (...args: unknown[]) => void;

process.emitWarning = (...args: unknown[]) => {
  if (args[1] !== "ExperimentalWarning" || !String(args[0]).startsWith("SQLite ")) emitWarning(...args);
};
