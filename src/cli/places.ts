import { readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { messageOf, RollcallError } from '../errors.js';

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
	const document = await readDocument(file);
	const folder = dirname(resolve(file ?? configFileDefault));
	const path = (fallback: string, ...keys: string[]): string => {
		const overriding = env[`ROLLCALL_${keys.join('__').toUpperCase()}`];
		const value = overriding ?? keys.reduce<unknown>((at, key) => entry(at, key), document);
		return resolve(folder, typeof value === 'string' ? value : fallback);
	};
	const apps = entry(document, 'http_workers');
	const list: unknown[] = Array.isArray(apps) ? apps : [];
	const drains = list.map((app) => parseSpan(entry(entry(app, 'drain'), 'timeout')) ?? drainDefaultMs);
	return {
		socketPath: path(join(path('/run/rollcall', 'runtime_dir'), 'admin.sock'), 'operations_api', 'socket', 'path'),
		stateDir: path('/var/lib/rollcall', 'state_dir'),
		workerDir: path('/var/lib/rollcall-workers', 'worker_dir'),
		drainMaxMs: Math.max(drainDefaultMs, ...drains),
	};
}

async function readDocument(file: string | null): Promise<unknown> {
	const path = file ?? configFileDefault;
	let text: string;
	try {
		if (statSync(path).size > configBytesMax) {
			throw new RollcallError('configuration', `${path} is longer than ${configBytesMax} bytes.`);
		}
		text = readFileSync(path, 'utf8');
	} catch (error) {
		if (error instanceof RollcallError) throw error;
		if (file === null) return {};
		throw new RollcallError('configuration', `${path} cannot be read: ${messageOf(error)}`, {}, { cause: error });
	}
	const { parse } = await import('yaml');
	try {
		return parse(text, { logLevel: 'error' });
	} catch (error) {
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
