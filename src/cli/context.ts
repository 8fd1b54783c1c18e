import type { CommonOptions } from './client/connect.js';
import type { Terminal } from './output/terminal.js';

/** The long-lived programs; main passes them, since only main knows the composition root. */
export interface Programs {
	runDaemon(options: { configFile: string }): Promise<void>;
	runWorkerHost(options: { settings: string | null; configFile: string; user: string | null }): Promise<void>;
}

/** What one command line has to work with. */
export interface Session {
	/** Aborted by Ctrl-C. Commands that run in the foreground for good handle signals themselves: they call {@link Session.leaveSignals}. */
	signal: AbortSignal;
	leaveSignals: () => void;
	programs: Programs;
	/** The exit code when the command ends without an error. */
	exitCode: number;
}

/** What every command's function is given. */
export interface Context<Options = object> {
	options: CommonOptions & Options;
	terminal: Terminal;
	session: Session;
}
