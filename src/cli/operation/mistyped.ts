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
	nodes: ['status --node all'],
	apps: ['status --node all'],
	info: ['status'],
	show: ['status', 'rollout status'],
	describe: ['status', 'rollout status'],
	health: ['status --check', 'doctor'],
	check: ['status --check', 'doctor'],
	monit: ['status --watch'],
	monitor: ['status --watch'],
	watch: ['status --watch', 'rollout follow'],
	start: ['rollout start', 'daemon'],
	reload: ['rollout start', 'app restart'],
	deploy: ['rollout start'],
	plan: ['rollout plan'],
	follow: ['rollout follow', 'logs -f'],
	history: ['rollout history', 'audit'],
	events: ['rollout history', 'audit'],
	pause: ['rollout pause'],
	resume: ['rollout resume'],
	abort: ['rollout abort'],
	cancel: ['rollout abort'],
	undo: ['rollout undo'],
	rollback: ['rollout undo'],
	kill: ['stop'],
	cordon: ['node drain'],
	drain: ['node drain'],
	uncordon: ['node ready'],
	ready: ['node ready'],
	users: ['list_users'],
	tokens: ['token list'],
	login: ['help users-and-tokens'],
	who: ['audit'],
	config: ['validate', 'help configuration'],
	scale: ['help http-workers'],
	delete: ['help http-workers'],
	startup: ['install'],
	upgrade: ['help upgrade'],
	version: ['--version'],
};

/** The same of the words that stand after the first. */
const otherWords: Readonly<Record<string, Readonly<Record<string, string>>>> = {
	rollout: {
		restart: 'rollout start',
		list: 'rollout history',
		ls: 'rollout history',
		show: 'rollout status',
		get: 'rollout status',
		describe: 'rollout status',
		watch: 'rollout follow',
		continue: 'rollout resume',
		stop: 'rollout pause, or rollcall rollout abort',
		cancel: 'rollout abort',
		rollback: 'rollout undo',
		revert: 'rollout undo',
	},
	app: { list: 'status --node all', reload: 'app restart', roll: 'rollout start', logs: 'logs', status: 'workers' },
	node: {
		list: 'status --node all',
		ls: 'status --node all',
		status: 'status --node NODE',
		cordon: 'node drain',
		uncordon: 'node ready',
		undrain: 'node ready',
	},
	user: {
		list: 'list_users',
		drop: 'drop_user username=NAME',
		delete: 'drop_user username=NAME',
		role: 'alter_user username=NAME role=ROLE',
	},
	token: { add: 'token create', delete: 'token drop', revoke: 'token drop', ls: 'token list' },
};

/** What to type instead of a second word that its command does not have. `known`: those that it has. */
export function unknownSecondWord(group: string, word: string, known: readonly string[]): RollcallError {
	const others = otherWords[group] ?? {};
	const meant = Object.hasOwn(others, word) ? others[word] : undefined;
	const near = nearWords(word, known).map((one) => `${group} ${one}`);
	return unknownWord(`${group} ${word}`, meant === undefined ? near : [meant], { help: group });
}

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

/** A fault of usage, whether a daemon was asked or not. `here`: where it was looked for; `help`: the command whose help has it. */
export function unknownWord(
	name: string,
	near: readonly string[],
	{ here, help, cause }: { here?: string; help?: string; cause?: unknown } = {},
): RollcallError {
	const hint =
		near.length === 0
			? `rollcall ${help === undefined ? '' : `${help} `}--help lists what there is.`
			: `Did you mean ${near.map((word) => `rollcall ${word}`).join(', or ')}?`;
	const where = here === undefined ? '' : ` ${here}`;
	return new RollcallError('usage', `There is no command or operation '${name}'${where}. ${hint}`, {}, { cause });
}
