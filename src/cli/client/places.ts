import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { messageOf, RollcallError } from '../../errors.js';
import { plainSocketKeys } from './socket-path.js';

/** What a command has to know of a configuration to find the daemon and its processes. */
export interface Places {
	socketPath: string;
	stateDir: string;
	workerDir: string;
	/** Longest drain of any app in ms. */
	drainMaxMs: number;
}

export const configFileDefault = '/etc/rollcall/rollcall.yaml';
const drainDefaultMs = 30_000;
const configBytesMax = 1024 * 1024;

/**
 * Reads where things are, and nothing else: `status` and `stop` must work when the rest of the file has a mistake, and for
 * a member of the socket's group who may not read the secrets that the file names. A missing default file means defaults.
 */
export async function readPlaces(file: string | null, env: NodeJS.ProcessEnv): Promise<Places> {
	const document = await parseDocument(file, readText(file), env);
	const path = pathReader(file, document, env);
	const apps = entry(document, 'http_workers');
	const list: unknown[] = Array.isArray(apps) ? apps : [];
	const drains = list.map((app) => parseSpan(entry(entry(app, 'drain'), 'timeout')) ?? drainDefaultMs);
	return {
		socketPath: socketPathOf(path),
		stateDir: path('/var/lib/rollcall', 'state_dir'),
		workerDir: path('/var/lib/rollcall-workers', 'worker_dir'),
		drainMaxMs: Math.max(drainDefaultMs, ...drains),
	};
}

/** The admin socket alone, for the commands that only ask something. */
export async function readSocketPath(file: string | null, env: NodeJS.ProcessEnv): Promise<string> {
	const text = readText(file);
	// JSON is YAML too, and read by Node itself.
	const plain = text.startsWith('{') ? parseJson(text) : plainSocketKeys(text);
	return socketPathOf(pathReader(file, plain ?? (await parseDocument(file, text, env)), env));
}

function parseJson(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

type PathReader = (fallback: string, ...keys: string[]) => string;

/** Paths by their keys: variables win, relative ones are of the file's folder. */
function pathReader(file: string | null, document: unknown, env: NodeJS.ProcessEnv): PathReader {
	const folder = dirname(resolve(file ?? configFileDefault));
	return (fallback, ...keys) => {
		const overriding = env[`ROLLCALL_${keys.join('__').toUpperCase()}`];
		const value = overriding ?? keys.reduce<unknown>((at, key) => entry(at, key), document);
		return resolve(folder, typeof value === 'string' ? value : fallback);
	};
}

const socketPathOf = (path: PathReader): string =>
	path(join(path('/run/rollcall', 'runtime_dir'), 'admin.sock'), 'operations_api', 'socket', 'path');

/** Returns an empty text if no file was named and the default one does not exist. */
function readText(file: string | null): string {
	const path = file ?? configFileDefault;
	try {
		if (statSync(path).size <= configBytesMax) return readFileSync(path, 'utf8');
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (file === null && code === 'ENOENT') return '';
		if (code === 'EACCES' || code === 'EPERM') {
			const advice = 'Join group rollcall (usermod -aG rollcall NAME, then log in anew), or run this as root';
			throw new RollcallError('forbidden', `You may not read ${path}. ${advice}.`, {}, { cause: error });
		}
		throw new RollcallError('configuration', `${path} cannot be read: ${messageOf(error)}`, {}, { cause: error });
	}
	throw new RollcallError('configuration', `${path} is longer than ${configBytesMax} bytes.`);
}

/** A file that is no YAML any more has a daemon, if any, that runs by its last good configuration. */
async function parseDocument(file: string | null, text: string, env: NodeJS.ProcessEnv): Promise<unknown> {
	// By its default: the names of a CommonJS package are lost where a bundle loads it late.
	const { parse } = (await import('yaml')).default;
	const path = file ?? configFileDefault;
	try {
		return parse(text, { logLevel: 'error' });
	} catch (error) {
		const { readLastGood } = await import('../../config/last-good.js');
		const lastGood = readLastGood(path, env);
		if (lastGood !== null) return parse(lastGood.text, { logLevel: 'error' });
		throw new RollcallError('configuration', `${path}: ${messageOf(error)}`, {}, { cause: error });
	}
}

function entry(of: unknown, key: string): unknown {
	if (typeof of !== 'object' || of === null || !Object.hasOwn(of, key)) return undefined;
	return (of as Record<string, unknown>)[key];
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration as configurations write it (`500ms`, `30s`, `5m`), in ms; null if it is none. */
export function parseSpan(value: unknown): number | null {
	const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(value) : null;
	if (!match) return null;
	return Number(match[1]) * (unitMs[match[2] ?? ''] ?? 1);
}
