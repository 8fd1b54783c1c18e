import { RollcallError } from '../../errors.js';
import { nearWords } from '../output/format.js';
import { operationNames } from './names.js';

/** What other tools call it, and what it is called here. */
const otherTools: Readonly<Record<string, readonly string[]>> = {
	ls: ['workers', 'status'],
	ps: ['workers', 'status'],
	list: ['workers', 'status'],
	get: ['workers', 'status'],
	top: ['workers', 'status'],
	info: ['status'],
	describe: ['status', 'rollout status'],
	version: ['--version'],
};

/**
 * A word that nothing is called, yet almost, or that other tools have: better to ask than to send it. A word that is near
 * to nothing goes to the daemon, which may be newer.
 */
export function refuseMistyped(name: string, commands: readonly string[]): void {
	if (operationNames.includes(name)) return;
	const meant = Object.hasOwn(otherTools, name) ? (otherTools[name] ?? []) : [];
	const near = meant.length > 0 ? meant : nearWords(name, [...commands, ...operationNames]);
	if (near.length > 0 || !/^[\w-]+$/.test(name)) throw unknownWord(name, near);
}

/** A fault of usage, whether a daemon was asked or not. `here`: where it was looked for. */
export function unknownWord(
	name: string,
	near: readonly string[],
	{ here, cause }: { here?: string; cause?: unknown } = {},
): RollcallError {
	const hint =
		near.length === 0
			? 'rollcall --help lists what there is.'
			: `Did you mean ${near.map((word) => `rollcall ${word}`).join(', or ')}?`;
	const where = here === undefined ? '' : ` ${here}`;
	return new RollcallError('usage', `There is no command or operation '${name}'${where}. ${hint}`, {}, { cause });
}
