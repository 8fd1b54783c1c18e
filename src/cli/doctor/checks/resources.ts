import { instancesOf } from '../../../config/checks/conflicts.js';
import { shareOf } from '../../../config/document/values.js';
import type { LoadedConfig } from '../../../config/load.js';
import { bytes, shellWord } from '../../output/format.js';
import {
	type Check,
	type DaemonAnswers,
	type Finding,
	type Host,
	ok,
	unseen,
	warning,
	withConfig,
	wrong,
} from '../types.js';

const mebibyte = 1024 ** 2;
/** Assumed for a worker whose memory has not been measured yet. */
const workerBytesGuess = 100 * mebibyte;
const stateBytesWrong = 50 * mebibyte;
const freeShareLeast = 0.05;
const shareMost = 0.8;

type App = LoadedConfig['http_workers'][number];

/** What one worker takes: the largest that runs, else its limit, else a guess. */
function workerBytes(app: App, daemon: DaemonAnswers | null): number {
	const measured = (daemon?.workers ?? []).flatMap(({ app: name, memory }) =>
		name === app.name && memory !== null ? [memory] : [],
	);
	return measured.length > 0 ? Math.max(...measured) : (app.max_memory ?? workerBytesGuess);
}

const surgeOf = (app: App): number => Math.min(instancesOf(app), shareOf(app.surge, instancesOf(app)));

function availableMemory({ readText }: Host): number | null {
	const [, kibibytes] = /^MemAvailable:\s+(\d+) kB$/m.exec(readText('/proc/meminfo') ?? '') ?? [];
	return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}

/** Apps are replaced one after the other, new workers beside the old. */
const memoryForSurge = withConfig(({ http_workers }, { host, daemon }) => {
	const available = availableMemory(host);
	if (available === null) return [unseen('/proc/meminfo cannot be read')];
	return http_workers.map((app) => {
		const surge = surgeOf(app);
		const needed = surge * workerBytes(app, daemon);
		const text = `${app.name}: a roll takes ${bytes(needed)} more (${surge} new workers beside the old), ${bytes(available)} are available`;
		if (needed <= available) return ok(text);
		return wrong(text, `set surge of ${app.name} to ${Math.max(1, Math.floor((surge * available) / needed))}`);
	});
});

const memoryLimits = withConfig(({ http_workers }, { host }) => {
	const [, kibibytes] = /^MemTotal:\s+(\d+) kB$/m.exec(host.readText('/proc/meminfo') ?? '') ?? [];
	if (kibibytes === undefined) return [unseen('/proc/meminfo cannot be read')];
	const limits = http_workers.reduce((sum, app) => sum + (app.max_memory ?? 0) * instancesOf(app), 0);
	const total = Number(kibibytes) * 1024;
	const text = `the workers may take ${bytes(limits)} by max_memory, the host has ${bytes(total)}`;
	return [limits <= total ? ok(text) : warning(text, 'set max_memory or instances lower, then rollcall rollout start')];
});

const processors = withConfig(({ http_workers }, { host }) => {
	const workers = http_workers.reduce((sum, app) => sum + instancesOf(app), 0);
	const text = `${workers} workers on ${host.processors} processors`;
	if (workers <= host.processors * 4) return [ok(text)];
	return [warning(`${text}: they wait for each other`, 'set instances: max or lower, then rollcall rollout start')];
});

const foldersOf = ({ state_dir, worker_dir }: LoadedConfig): string[] => [...new Set([state_dir, worker_dir])];

const disk = withConfig((config, { host }) =>
	foldersOf(config).map((folder) => {
		const space = host.space(folder);
		if (space === null) return unseen(`this user may not look at ${folder}`);
		const text = `${folder}: ${bytes(space.freeBytes)} of ${bytes(space.totalBytes)} are free`;
		const command = `df -h ${shellWord(folder)}; du -xsh ${shellWord(folder)}`;
		if (space.freeBytes < stateBytesWrong)
			return wrong(`${text}: records and logs cannot be written for long`, command);
		return space.freeBytes < space.totalBytes * freeShareLeast ? warning(text, command) : ok(text);
	}),
);

const inodes = withConfig((config, { host }) =>
	foldersOf(config).map((folder) => {
		const space = host.space(folder);
		// Some file systems, such as btrfs, have no fixed number.
		if (space === null || space.inodes === 0) return unseen(`${folder}: no number of inodes is known`);
		const text = `${folder}: ${space.freeInodes} of ${space.inodes} inodes are free`;
		if (space.freeInodes >= space.inodes * freeShareLeast) return ok(text);
		return warning(text, `df -i ${shellWord(folder)}`);
	}),
);

/** Each worker has two files, each of them once in use and `keep` times put aside. */
const logSpace = withConfig(({ http_workers, logging, worker_dir }, { host }) => {
	const space = host.space(worker_dir);
	if (space === null) return [unseen(`this user may not look at ${worker_dir}`)];
	const workers = http_workers.reduce((sum, app) => sum + instancesOf(app), 0);
	const most = workers * 2 * logging.max_size * (logging.keep + 1);
	const text = `the logs of ${workers} workers may grow to ${bytes(most)}, ${bytes(space.freeBytes)} are free`;
	if (most <= space.freeBytes) return [ok(text)];
	return [warning(text, 'set logging.max_size or logging.keep lower, then systemctl restart rollcall')];
});

const numberIn = ({ readText }: Host, path: string): number | null => {
	const text = readText(path)?.trim().split(/\s+/)[0];
	return text === undefined || !/^\d+$/.test(text) ? null : Number(text);
};

/** A kernel setting that must not be below what apps of this kind need. */
const setting = (name: string, key: string, least: number, why: string): Check => ({
	name,
	look: ({ host }) => {
		const value = numberIn(host, `/proc/sys/${key.replaceAll('.', '/')}`);
		if (value === null) return [unseen(`${key} cannot be read`)];
		if (value >= least) return [ok(`${key} is ${value}`)];
		return [warning(`${key} is ${value}: ${why}`, `sysctl -w ${key}=${least}`)];
	},
});

function share(used: number, most: number, what: string, command: string): Finding[] {
	const text = `${used} of ${most} ${what} are in use`;
	return [used < most * shareMost ? ok(text) : warning(text, command)];
}

function openFiles({ host }: { host: Host }): Finding[] {
	const [used = '', , most = ''] = (host.readText('/proc/sys/fs/file-nr') ?? '').trim().split(/\s+/);
	if (!/^\d+$/.test(used) || !/^\d+$/.test(most)) return [unseen('/proc/sys/fs/file-nr cannot be read')];
	return share(Number(used), Number(most), 'open files', `sysctl -w fs.file-max=${Number(most) * 2}`);
}

/** Without units that set it, the limit of the shell counts for the daemon and its worker hosts. */
function fileLimit({ host }: { host: Host }): Finding[] {
	if (host.facts('/run/systemd/system') !== 'missing') return [ok('the units set LimitNOFILE=65536')];
	const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(host.readText('/proc/self/limits') ?? '') ?? [];
	if (soft === undefined) return [unseen('/proc/self/limits cannot be read')];
	if (soft === 'unlimited' || Number(soft) >= 4096) return [ok(`${soft} open files a process`)];
	return [
		warning(`a process may open ${soft} files: each connection is one`, 'ulimit -n 65536   # before rollcall daemon'),
	];
}

function processIds({ host }: { host: Host }): Finding[] {
	const most = numberIn(host, '/proc/sys/kernel/pid_max');
	const [, tasks] = /\/(\d+)\s/.exec(host.readText('/proc/loadavg') ?? '') ?? [];
	if (most === null || tasks === undefined) return [unseen('the number of tasks cannot be read')];
	return share(Number(tasks), most, 'process ids', `sysctl -w kernel.pid_max=${most * 2}`);
}

const watchers = 'bundlers, loaders and file watchers of apps fail with ENOSPC or EMFILE';

export const resourceChecks: readonly Check[] = [
	{ name: 'memory-for-surge', look: memoryForSurge },
	{ name: 'memory-limits', look: memoryLimits },
	{ name: 'processors', look: processors },
	{ name: 'disk', look: disk },
	{ name: 'inodes', look: inodes },
	{ name: 'log-space', look: logSpace },
	setting('inotify-instances', 'fs.inotify.max_user_instances', 128, watchers),
	setting('inotify-watches', 'fs.inotify.max_user_watches', 8192, watchers),
	setting('connection-backlog', 'net.core.somaxconn', 511, 'Node asks for 511, so a burst of connections is refused'),
	{ name: 'open-files', look: openFiles },
	{ name: 'file-limit', look: fileLimit },
	{ name: 'process-ids', look: processIds },
];
