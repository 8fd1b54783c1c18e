import { execFile } from 'node:child_process';
import {
	chmodSync,
	chownSync,
	copyFileSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, RollcallError } from '../../errors.js';

/** One thing that has to be so on a host. Doing all steps again changes nothing. */
export interface Step {
	/** The step as a shell command; shown by --dry-run. */
	text: string;
	/** True when it is so already. */
	isDone(): boolean | Promise<boolean>;
	act(): void | Promise<void>;
}

export interface StepOutcome {
	text: string;
	outcome: 'done' | 'as it was' | 'would be done';
}

/** Goes through the steps in order; the first that fails ends it, with what was done before left in place. */
export async function takeSteps(steps: readonly Step[], isDryRun: boolean): Promise<StepOutcome[]> {
	const outcomes: StepOutcome[] = [];
	for (const step of steps) {
		if (await step.isDone()) {
			outcomes.push({ text: step.text, outcome: 'as it was' });
			continue;
		}
		if (!isDryRun) await attempt(step);
		outcomes.push({ text: step.text, outcome: isDryRun ? 'would be done' : 'done' });
	}
	return outcomes;
}

async function attempt(step: Step): Promise<void> {
	try {
		await step.act();
	} catch (cause) {
		throw new RollcallError(
			'unavailable',
			`This step failed: ${step.text}: ${messageOf(cause)} The steps before it stay done; fix the cause and run the same command again.`,
			{},
			{ cause },
		);
	}
}

/** Steps that note when one of them has something to do, for a later step that depends on it. */
export function noted(steps: readonly Step[], note: { changed: boolean }): Step[] {
	return steps.map((step) => ({
		...step,
		isDone: async () => {
			const isDone = await step.isDone();
			if (!isDone) note.changed = true;
			return isDone;
		},
	}));
}

export interface Ownership {
	/** Permission bits. */
	mode: number;
	/** Name of the group; root if not given. The owner is always root. */
	group?: string;
}

export function folder(path: string, { mode, group }: Ownership): Step {
	return {
		text: `install -d -m ${mode.toString(8)}${group ? ` -g ${group}` : ''} ${path}`,
		isDone: () => exists(path) && isOwned(path, mode, group),
		act: () => {
			mkdirSync(path, { recursive: true });
			own(path, mode, group);
		},
	};
}

/** A file with exactly this content. */
export function file(path: string, content: string, { mode, group }: Ownership): Step {
	return {
		text: `install -m ${mode.toString(8)}${group ? ` -g ${group}` : ''} … ${path}`,
		isDone: () => contentOf(path) === content && isOwned(path, mode, group),
		act: () => {
			mkdirSync(dirname(path), { recursive: true });
			const fresh = `${path}.new`;
			writeFileSync(fresh, content, { mode: 0o600 });
			own(fresh, mode, group);
			renameSync(fresh, path);
		},
	};
}

/** A copy of a file that is made once and never touched again: it belongs to the operator. */
export function fileOnce(path: string, from: string, { mode, group }: Ownership): Step {
	return {
		text: `install -m ${mode.toString(8)}${group ? ` -g ${group}` : ''} ${from} ${path}`,
		isDone: () => exists(path),
		act: () => {
			mkdirSync(dirname(path), { recursive: true });
			copyFileSync(from, path);
			own(path, mode, group);
		},
	};
}

/** A copy of a file under another name, owner and mode included; it takes the place of an earlier copy. */
export function copyAside(path: string, aside: string): Step {
	return {
		text: `cp -p ${path} ${aside}`,
		isDone: () => false,
		act: () => {
			const { uid, gid, mode } = statSync(path);
			const fresh = `${aside}.new`;
			rmSync(fresh, { force: true });
			writeFileSync(fresh, readFileSync(path), { mode: 0o600, flag: 'wx' });
			chownSync(fresh, uid, gid);
			chmodSync(fresh, mode & 0o7777);
			renameSync(fresh, aside);
		},
	};
}

/** An operator's file that the members of a group must be able to read, if it is there; nothing else of it is changed. */
export function readable(path: string, group: string): Step {
	return {
		text: `chgrp ${group} ${path}; chmod g+r ${path}`,
		isDone: () => {
			const stat = statSync(path, { throwIfNoEntry: false });
			if (!stat || (stat.mode & 0o004) !== 0) return true;
			return stat.gid === groupId(group) && (stat.mode & 0o040) !== 0;
		},
		act: () => {
			const { uid, mode } = statSync(path);
			const id = groupId(group);
			if (id === null) throw new Error(`There is no group ${group}.`);
			chownSync(path, uid, id);
			chmodSync(path, (mode & 0o7777) | 0o040);
		},
	};
}

/** A symbolic link, changed in one moment. */
export function link(path: string, target: string): Step {
	return {
		text: `ln -sfn ${target} ${path}`,
		isDone: () => linkOf(path) === target,
		act: () => {
			if (exists(path) && linkOf(path) === null) {
				throw new Error(`${path} is there and is no link; move it away.`);
			}
			mkdirSync(dirname(path), { recursive: true });
			rmSync(`${path}.new`, { force: true });
			symlinkSync(target, `${path}.new`);
			renameSync(`${path}.new`, path);
		},
	};
}

export function removal(path: string): Step {
	return {
		text: `rm -rf ${path}`,
		isDone: () => !exists(path),
		act: () => rmSync(path, { recursive: true, force: true }),
	};
}

/** A program that is run unless `isDone` says that there is nothing for it to do. */
export function command(words: readonly string[], isDone: Step['isDone'] = () => false): Step {
	return { text: words.join(' '), isDone, act: async () => void (await runCommand(words)) };
}

/** Runs a program to its end; answers what it wrote, throws with its last words when it fails. */
export async function runCommand(words: readonly string[]): Promise<string> {
	const [program = '', ...args] = words;
	try {
		return (await promisify(execFile)(program, args, { timeout: 180_000 })).stdout;
	} catch (error) {
		const { stderr } = error as { stderr?: string };
		throw new Error(stderr?.trim() || messageOf(error), { cause: error });
	}
}

/** The same as a question: what it wrote, also when it exits with an error; '' when it cannot be run. */
export async function askCommand(words: readonly string[]): Promise<string> {
	const [program = '', ...args] = words;
	try {
		return (await promisify(execFile)(program, args, { timeout: 30_000 })).stdout.trim();
	} catch (error) {
		return (error as { stdout?: string }).stdout?.trim() ?? '';
	}
}

export function exists(path: string): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function contentOf(path: string): string | null {
	return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : null;
}

function linkOf(path: string): string | null {
	return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(path) : null;
}

function isOwned(path: string, mode: number, group: string | undefined): boolean {
	const stat = statSync(path);
	return stat.uid === 0 && stat.gid === groupId(group) && (stat.mode & 0o7777) === mode;
}

function own(path: string, mode: number, group: string | undefined): void {
	const id = groupId(group);
	if (id === null) throw new Error(`There is no group ${group}.`);
	chownSync(path, 0, id);
	chmodSync(path, mode);
}

/** Numbers of groups are looked up when the step comes, since an earlier one makes them. */
function groupId(name: string | undefined): number | null {
	if (name === undefined) return 0;
	for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
		const [group, , id] = line.split(':');
		if (group === name && id) return Number(id);
	}
	return null;
}
