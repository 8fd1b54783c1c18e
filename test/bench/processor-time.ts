import { readdirSync, readFileSync } from 'node:fs';

/** Time on a processor of all threads of these processes together, in ns (proc_pid_schedstat(5)); of one that is gone nothing. */
export function processorNs(pids: readonly number[]): number {
	return pids.reduce((sum, pid) => sum + ofProcess(pid), 0);
}

function ofProcess(pid: number): number {
	const tasks = `/proc/${pid}/task`;
	return readdirSync(tasks).reduce((sum, thread) => {
		const [onProcessor] = readFileSync(`${tasks}/${thread}/schedstat`, 'latin1').split(' ');
		return sum + Number(onProcessor);
	}, 0);
}
