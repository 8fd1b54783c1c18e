import { readdirSync, readFileSync } from 'node:fs';
import { ancestorsOf, isAlive, isOwned, type ProcessIdentity, readProcessStat } from './process.js';

/** A process, and what it was started with. */
export interface MarkedProcess extends ProcessIdentity {
	command: string[];
	environment: Record<string, string>;
}

/**
 * Processes that were started with such an environment, without any below another one of them or below the process
 * `above`: an environment is inherited. Only processes of the own user can be looked at, and one that has written over its
 * environment is not found.
 */
export function findMarked(
	isMarked: (environment: Record<string, string>) => boolean,
	above: number | null,
): MarkedProcess[] {
	const marked = livingPids().flatMap((pid) => {
		const environment = Object.fromEntries(readWords(pid, 'environ').map(pairOf));
		const started = isMarked(environment) ? readProcessStat(pid)?.started : undefined;
		if (started === undefined || !isAlive({ pid, started })) return [];
		return [{ pid, started, command: readWords(pid, 'cmdline'), environment }];
	});
	const tops = new Set([...marked.map(({ pid }) => pid), ...(above === null ? [] : [above])]);
	return marked.filter(({ pid }) => pid !== above && !ancestorsOf(pid).some((ancestor) => tops.has(ancestor)));
}

/**
 * Sends a signal to a process of this user and to all that descend from it, the deepest first. A process that is gone is no
 * error; a process of another user, this process and its ancestors get nothing.
 */
export function signalTree(root: ProcessIdentity, owner: number, signal: NodeJS.Signals): void {
	if (!isAlive(root) || !isOwned(root, owner)) return;
	for (const pid of treeOf(root).reverse()) {
		try {
			process.kill(pid, signal);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code !== 'ESRCH' && (pid === root.pid || code !== 'EPERM')) throw error;
		}
	}
}

/** The process and all that descend from it, nearest first. */
export function treeOf({ pid: root }: ProcessIdentity): number[] {
	const children = new Map<number, number[]>();
	for (const pid of livingPids()) {
		const parent = readProcessStat(pid)?.parentPid;
		if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
	}
	const found: number[] = [root];
	for (let next = children.get(root) ?? []; next.length > 0; next = next.flatMap((pid) => children.get(pid) ?? [])) {
		found.push(...next);
	}
	return found;
}

function livingPids(): number[] {
	return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** What the process was started with; empty if that may not be read. */
function readWords(pid: number, what: 'environ' | 'cmdline'): string[] {
	try {
		return readFileSync(`/proc/${pid}/${what}`, 'utf8').split('\0');
	} catch {
		return [];
	}
}

function pairOf(text: string): [string, string] {
	const at = text.indexOf('=');
	return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
