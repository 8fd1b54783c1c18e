import { lstatSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf, RollcallError } from '../errors.js';
import { replaceFile } from '../system/files/replace-file.js';
import { fileBytesMax, readTrustedFile } from './document/trusted-files.js';
import { type LoadedConfig, type LoadOptions, loadConfig, parseConfig } from './load.js';
import { stateDirDefault } from './schema.js';

/**
 * The last configuration that this node accepted, as text below `state_dir`. A node whose configuration file does not
 * check when it starts runs by it, so that a mistake in the file does not become an outage at the next boot. What the file
 * names (certificates, secrets, env_files) is not in it: a fault there is one of the last good configuration, too. So is a
 * fault in a ROLLCALL_ variable: the environment belongs to this very start, so it has to count.
 */
export const lastGoodFile = 'last-good.yaml';

/** The version of the form: one line that says what this is, then the text as it stood in the configuration file. */
const formVersion = 1;
const headerPattern = /^# rollcall last good configuration (\{.*\})\n/;

interface Header {
	version: number;
	/** Absolute path of the configuration file. */
	file: string;
	/** ms since 1970. */
	accepted_at: number;
}

/** Why a node runs by its last good configuration. */
export interface StandIn {
	/** The faults of the file, one a line. */
	fault: string;
	/** ms since 1970 of the reading that it runs by. */
	acceptedAt: number;
}

/** Looks at what the schema cannot: throws `configuration`. */
type Check = (config: LoadedConfig) => void;

/**
 * The configuration to start by: the file's, or the last good one when the file does not check. Throws `configuration`
 * (exit 2) with the faults of the file when there is no last good one, or when that does not check either.
 */
export function loadAtStart(
	options: LoadOptions,
	check: Check = () => undefined,
): { config: LoadedConfig; standIn: StandIn | null } {
	try {
		const config = loadConfig(options);
		check(config);
		return { config, standIn: null };
	} catch (error) {
		if (!(error instanceof RollcallError) || error.code !== 'configuration') throw error;
		const found = findLastGood(options, check);
		if (found === null) throw error;
		return { config: found.config, standIn: { fault: error.message, acceptedAt: found.acceptedAt } };
	}
}

function findLastGood(options: LoadOptions, check: Check): { config: LoadedConfig; acceptedAt: number } | null {
	try {
		const stateDir = stateDirOf(resolve(options.file), options.env);
		const lastGood = readLastGood(options.file, options.env);
		if (lastGood === null) return null;
		const config = parseConfig(lastGood.text, options);
		if (config.state_dir !== stateDir) return null;
		check(config);
		return { config, acceptedAt: lastGood.acceptedAt };
	} catch {
		// The file's own faults are reported; a last good one that cannot be used adds nothing.
		return null;
	}
}

/** The text of the last good configuration of this file, whatever the file holds; null if there is none that can be trusted. */
export function readLastGood(configFile: string, env: NodeJS.ProcessEnv): { text: string; acceptedAt: number } | null {
	const file = resolve(configFile);
	try {
		const path = join(stateDirOf(file, env), lastGoodFile);
		if (!lstatSync(path).isFile()) return null;
		const content = readTrustedFile(path, 'secret');
		const [line = '', json = ''] = headerPattern.exec(content) ?? [];
		const header = JSON.parse(json) as Header;
		if (header.version !== formVersion || header.file !== file || !Number.isSafeInteger(header.accepted_at))
			return null;
		return { text: content.slice(line.length), acceptedAt: header.accepted_at };
	} catch {
		return null;
	}
}

/** Mode 0600: the file may hold variables of the apps. Throws `unavailable`. */
export async function writeLastGood(stateDir: string, file: string, text: string, acceptedAt: number): Promise<void> {
	const header: Header = { version: formVersion, file, accepted_at: acceptedAt };
	const content = `# rollcall last good configuration ${JSON.stringify(header)}\n${text}`;
	const path = join(stateDir, lastGoodFile);
	if (Buffer.byteLength(content) > fileBytesMax)
		throw new RollcallError('unavailable', `${path} would be longer than ${fileBytesMax} bytes.`);
	try {
		await replaceFile(path, content);
	} catch (cause) {
		throw new RollcallError('unavailable', `${path} cannot be written: ${messageOf(cause)}`, {}, { cause });
	}
}

/** Where the state of a node lies whose file may be anything; what others could have written says nothing. */
function stateDirOf(file: string, env: NodeJS.ProcessEnv): string {
	const given = env['ROLLCALL_STATE_DIR'] ?? salvageStateDir(trustedText(file)) ?? stateDirDefault;
	return resolve(dirname(file), given);
}

function trustedText(file: string): string {
	try {
		return readTrustedFile(file, 'open');
	} catch {
		return '';
	}
}

/** `state_dir` out of a text that may be no YAML any more: then the one line of its own says it. */
export function salvageStateDir(text: string): string | null {
	const data = parsed(text);
	if (typeof data === 'object' && data !== null && Object.hasOwn(data, 'state_dir')) {
		const { state_dir: given } = data as { state_dir: unknown };
		return typeof given === 'string' ? given : null;
	}
	const lines = [...text.matchAll(/^state_dir:[ \t]+(?:"([^"\\]+)"|'([^']+)'|([\w./-]+))[ \t]*(?:#.*)?\r?$/gm)];
	const [, double, single, plain] = lines.length === 1 ? (lines[0] ?? []) : [];
	return double ?? single ?? plain ?? null;
}

function parsed(text: string): unknown {
	try {
		return parse(text, { logLevel: 'silent' });
	} catch {
		return null;
	}
}
