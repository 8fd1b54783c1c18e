import { isAbsolute } from 'node:path';
import { RollcallError } from '../../errors.js';
import type { LogLimits } from './log-files.js';

/** All that a worker host has to know. */
export interface HostSettings {
	workerDir: string;
	logs: LogLimits;
}

/** As a control plane says them to the host that it starts, in one argument; nothing in them is secret. */
export const writeHostSettings = ({ workerDir, logs: { maxSizeBytes, keep } }: HostSettings): string =>
	JSON.stringify({ workerDir, logs: { maxSizeBytes, keep } });

/** Throws `usage`. */
export function readHostSettings(text: string): HostSettings {
	const settings = parse(text) as Partial<HostSettings> | null;
	const { workerDir, logs } = settings ?? {};
	const isRight =
		typeof workerDir === 'string' && isAbsolute(workerDir) && isWhole(logs?.maxSizeBytes, 1) && isWhole(logs?.keep, 0);
	if (isRight && logs) return { workerDir, logs };
	throw new RollcallError(
		'usage',
		'--settings is how the daemon starts its worker host; a person gives --config FILE instead.',
	);
}

const isWhole = (value: unknown, min: number): boolean => Number.isSafeInteger(value) && Number(value) >= min;

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}
