import { readdirSync, readFileSync } from 'node:fs';

/** Time on a processor of all threads of these processes that live, in ms (proc_pid_schedstat(5)). */
export function processorMs(...pids: readonly number[]): number {
	return pids.reduce((sum, pid) => sum + ofProcess(pid), 0);
}

function ofProcess(pid: number): number {
	const tasks = `/proc/${pid}/task`;
	return readdirSync(tasks)
		.map((thread) => Number(readFileSync(`${tasks}/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1e6)
		.reduce((sum, ms) => sum + ms, 0);
}
