import { join } from 'node:path';
import { type Host, repository } from './hosts.js';

/** Answers with its process id after a moment, as an app does that has something to do. */
const app = `const http = require('node:http');
const server = http.createServer((request, response) => {
	if (request.url === '/healthz') return response.end('ok');
	const slow = request.url === '/slow';
	if (slow) response.flushHeaders();
	setTimeout(() => response.end(String(process.pid)), slow ? 2000 : 5);
});
server.listen(Number(process.env.PORT));
`;

export interface Worker {
	app: string;
	id: string;
	pid: number | null;
	state: string;
	healthy: boolean;
	release: string | null;
}

/** What the tests read of a rollout. */
export interface Rollout {
	id: string;
	state: string;
	reason: string | null;
	nodes: { node: string; state: string; reason: string | null }[];
	order: string[];
}

/** The app `web` and its user. */
export async function writeApp(host: Host): Promise<void> {
	await host.shell('id -u web >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin web');
	await host.write('/srv/web/server.js', app);
}

/** Writes the app `web` and its user, the configuration and further files of root, and installs Rollcall as the README says. */
export async function installOn(
	host: Host,
	configuration: string,
	secrets: Readonly<Record<string, string>> = {},
): Promise<void> {
	const main = join(repository, 'dist/src/main.js');
	await writeApp(host);
	await host.write('/srv/rollcall.yaml', configuration);
	// It has the secrets of an app: what is shown of the host is that the installed copy is not for everyone.
	await host.run('chmod', '600', '/srv/rollcall.yaml');
	for (const [path, text] of Object.entries(secrets)) {
		await host.write(path, text);
		await host.run('chmod', '640', path);
	}
	await host.run('node', main, 'install', '--config', '/srv/rollcall.yaml');
	for (const path of Object.keys(secrets)) await host.run('chgrp', 'rollcall', path);
	await host.run('node', main, 'install', '--now');
}

export async function workersOf(host: Host): Promise<Worker[]> {
	const { code, stdout } = await host.try(['rollcall', 'list_workers', '--json']);
	return code === 0 ? (JSON.parse(stdout) as Worker[]) : [];
}

/** Resolves once so many workers of the app `web` serve; answers their process ids. */
export async function servingOn(host: Host, count: number): Promise<number[]> {
	const workers = await host.until(
		`${count} workers serving`,
		async () => (await workersOf(host)).filter(({ app }) => app === 'web'),
		(rows) => rows.length === count && rows.every((row) => row.state === 'serving' && row.healthy),
	);
	return workers.flatMap((row) => (row.pid === null ? [] : [row.pid])).sort((one, other) => one - other);
}

export const mainPidOf = async (host: Host, unit: string): Promise<number> =>
	Number(await host.run('systemctl', 'show', '--property=MainPID', '--value', unit));

export async function isActive(host: Host, unit: string): Promise<boolean> {
	return (await host.try(['systemctl', 'is-active', unit])).stdout.trim() === 'active';
}

/** All processes of Rollcall's units, as the kernel has them. */
export async function processesOf(host: Host): Promise<string> {
	const { stdout } = await host.try([
		'sh',
		'-c',
		'cat /sys/fs/cgroup/system.slice/rollcall.service/cgroup.procs /sys/fs/cgroup/system.slice/system-rollcall*/rollcall-workers@*/cgroup.procs 2>/dev/null',
	]);
	return stdout.trim();
}

export async function operation<Answer>(host: Host, ...words: string[]): Promise<Answer> {
	return JSON.parse(await host.run('rollcall', ...words, '--json')) as Answer;
}
