import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, readProcessStat } from './process.js';
import { readText } from './read-text.js';

/** How often to look at the group: the kernel sends no event for a process that stays. */
const lookMs = 25;

/** The processes of one systemd unit, as the kernel keeps them: also those whose parent is long gone. */
export interface ControlGroup {
	/** The unit's name, for example `rollcall-workers@web.service`. */
	unit: string;
	/** All process ids in it now, but not the own one. */
	processes(): number[];
}

/** The group that this process was started in; null when it is no service's (a shell, a container without systemd). */
export function ownControlGroup(pid: number = process.pid): ControlGroup | null {
	// cgroups(7): `0::PATH` in the unified tree, `N:name=systemd:PATH` in systemd's own of the older layout.
	const lines = [...(readText(`/proc/${pid}/cgroup`) ?? '').matchAll(/^\d+:(name=systemd)?:(.*)$/gm)];
	for (const [, systemd, path = ''] of lines) {
		const unit = /\/([^/]+\.service)(?:\/|$)/.exec(path)?.[1];
		if (!unit) continue;
		const roots = systemd ? ['/sys/fs/cgroup/systemd'] : ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'];
		for (const root of roots) {
			const file = `${root}${path.slice(0, path.indexOf(unit) + unit.length)}/cgroup.procs`;
			if (readText(file) === null) continue;
			return { unit, processes: () => pidsIn(file).filter((one) => one !== pid) };
		}
	}
	return null;
}

function pidsIn(file: string): number[] {
	return (readText(file) ?? '').split('\n').filter(Boolean).map(Number);
}

export interface EndGroupOptions {
	/** The unit's main process: it ends first, and what it started with it; null when it is gone already. */
	mainPid: number | null;
	/** After so many ms the remaining processes are killed. */
	timeoutMs: number;
	/** Own ancestors within the group, never signalled. */
	spare: readonly number[];
}

/** What became of the processes of a group. */
export interface EndedGroup {
	/** Processes that had outlived the main process and were asked to end. */
	left: number[];
	killed: number[];
}

/**
 * Ends a whole group: SIGTERM to the main process, which drains and ends its workers; then SIGTERM to what has outlived an
 * earlier main process, which drains without being told; at the end of the time SIGKILL to the rest.
 */
export async function endGroup(group: ControlGroup, options: EndGroupOptions): Promise<EndedGroup> {
	const until = performance.now() + options.timeoutMs;
	const inTime = (): boolean => performance.now() < until;
	const others = (): number[] => group.processes().filter((pid) => !options.spare.includes(pid));
	const left = new Set<number>();
	const main = options.mainPid === null ? null : identify(options.mainPid);
	// Side by side with the main process: what it does not know it cannot end, and the drains take the same time.
	const known = new Set(main ? descendants(main.pid, others()) : []);
	if (main) signal(main.pid, 'SIGTERM');
	while (inTime() && others().length > 0) {
		const pids = others();
		for (const pid of pids) {
			if (known.has(pid) && main && isAlive(main)) continue;
			// Only the eldest: a worker ends its own children, which may have to finish something for it.
			if (left.has(pid) || pids.includes(readProcessStat(pid)?.parentPid ?? 0)) continue;
			left.add(pid);
			signal(pid, 'SIGTERM');
		}
		await delay(lookMs);
	}
	const killed = others().filter((pid) => signal(pid, 'SIGKILL'));
	return { left: [...left], killed };
}

function identify(pid: number): { pid: number; started: number } | null {
	const stat = readProcessStat(pid);
	return stat && { pid, started: stat.started };
}

/** The process itself and everything below it. */
function descendants(root: number, pids: readonly number[]): number[] {
	const found = new Set([root]);
	for (let size = 0; size !== found.size; ) {
		size = found.size;
		for (const pid of pids) if (found.has(readProcessStat(pid)?.parentPid ?? 0)) found.add(pid);
	}
	return [...found];
}

/** False when the process is gone, or is not ours to end. */
function signal(pid: number, name: NodeJS.Signals): boolean {
	try {
		process.kill(pid, name);
		return true;
	} catch {
		return false;
	}
}
