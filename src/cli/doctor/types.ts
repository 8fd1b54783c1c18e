import type { LoadedConfig } from '../../config/load.js';
import type { ClusterNode } from '../../fleet/types.js';
import type { RolloutView } from '../../rollout/types.js';
import type { WorkerRow } from '../../workers/types.js';

/** `wrong` makes the command end with 1; `unseen`: it could not be looked at, and the text says why. */
export type CheckState = 'ok' | 'warning' | 'wrong' | 'unseen';

export interface Finding {
	state: CheckState;
	text: string;
	/** The command that fixes it; null if no command can. */
	command: string | null;
}

/** One check: a name, which never changes once published, and a function that looks and changes nothing. */
export interface Check {
	name: string;
	/** Several findings where it looks at several things; none: it does not apply here. */
	look: (examination: Examination) => Finding[] | Promise<Finding[]>;
}

/** What a check may know. */
export interface Examination {
	/** ms since 1970. */
	now: number;
	host: Host;
	configFile: string;
	/** null: it cannot be read or does not check; {@link configurationFault} says why. */
	config: LoadedConfig | null;
	configurationFault: string | null;
	/** What the daemon answers; null: it does not, and {@link daemonFault} says why. */
	daemon: DaemonAnswers | null;
	daemonFault: string | null;
	/** The version of this command. */
	version: string;
}

export interface DaemonAnswers {
	cluster: { node: string; nodes: ClusterNode[] };
	workers: WorkerRow[];
	rollouts: RolloutView[];
	ready: boolean;
	reasons: string[];
	notes: string[];
	/** null: they may not be listed. */
	users: number | null;
}

export interface FileFacts {
	kind: 'file' | 'folder' | 'socket' | 'other';
	mode: number;
	uid: number;
	gid: number;
}

export interface Space {
	freeBytes: number;
	totalBytes: number;
	freeInodes: number;
	inodes: number;
}

/** What the checks ask of this host. Nothing here throws; null means that it cannot be seen. */
export interface Host {
	nodeVersion: string;
	processors: number;
	uid: number;
	env: NodeJS.ProcessEnv;
	readText(path: string): string | null;
	/** Follows links. `denied`: it may be there, but this user may not look. */
	facts(path: string): FileFacts | 'missing' | 'denied';
	/** The absolute path of a program in these folders (default: PATH), links followed. */
	find(program: string, folders?: readonly string[]): string | null;
	/** What a command prints on stdout, whatever its exit code; null if it cannot be run or takes too long. */
	run(program: string, ...words: string[]): Promise<string | null>;
	/** null when something accepts a connection; else why not. */
	connect(host: string, port: number): Promise<string | null>;
	/** The status of GET; null when there is no answer. */
	status(url: string): Promise<number | null>;
	/** The addresses of a name; null when it has none. */
	addresses(name: string): Promise<string[] | null>;
	/** Of the file system that holds the path, or would. */
	space(path: string): Space | null;
	/** Command lines of all processes that can be seen. */
	commandLines(): string[];
}

export const ok = (text: string): Finding => ({ state: 'ok', text, command: null });
export const unseen = (text: string): Finding => ({ state: 'unseen', text, command: null });
export const warning = (text: string, command: string | null): Finding => ({ state: 'warning', text, command });
export const wrong = (text: string, command: string | null): Finding => ({ state: 'wrong', text, command });

/** For checks that need the configuration. */
export const withConfig =
	(look: (config: LoadedConfig, examination: Examination) => Finding[] | Promise<Finding[]>): Check['look'] =>
	(examination) =>
		examination.config === null
			? [unseen('it needs a configuration that checks; see configuration')]
			: look(examination.config, examination);

/** For checks that need a running daemon. */
export const withDaemon =
	(look: (daemon: DaemonAnswers, examination: Examination) => Finding[] | Promise<Finding[]>): Check['look'] =>
	(examination) =>
		examination.daemon === null
			? [unseen('it needs an answer of the daemon; see daemon')]
			: look(examination.daemon, examination);
