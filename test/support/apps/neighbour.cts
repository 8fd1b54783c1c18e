// An app that is healthy, and at a tester's word uses its own home to get at another user's workers and at the control plane.
import childProcess = require('node:child_process');
import fs = require('node:fs');
import http = require('node:http');
import path = require('node:path');
import fakeHost = require('./fake-host.cjs');

const home = process.env['NEIGHBOUR_HOME'] ?? '';
const sockets = path.join(home, 'w');
const ownStart = fs.readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)?.split(' ')[19] ?? '';

/** The words of the query: what the attacker wants to reach. */
type Words = (name: string) => string;

/** Puts a link to another's socket in the place of each of its own control sockets. */
function plantLinks(words: Words): string[] {
	const own = fs.readdirSync(sockets).filter((name) => name.endsWith('.ctl'));
	for (const name of own) {
		fs.symlinkSync(words('to'), path.join(sockets, 'link'));
		fs.renameSync(path.join(sockets, 'link'), path.join(sockets, name));
	}
	return own;
}

/** Takes the place of its worker host, ends that one, and names other processes as its workers. */
async function takeHostsPlace(words: Words): Promise<void> {
	// A start time can be guessed: there is room for thousands of rows.
	const orphan = (id: string, pid: string, started: string) => {
		return { id, pid: Number(pid), started: Number(started), release: '/x', fork: false, port: null };
	};
	const orphans = [
		orphan('gone-1', words('daemon'), words('daemon_started')),
		orphan('gone-2', words('victim'), words('victim_started')),
		// This one really is its own.
		orphan('mine-1', String(process.pid), ownStart),
	];
	const online = { status: 'online' };
	const row = { name: words('worker'), pm_id: Number(words('pm_id')), pid: process.ppid, pm2_env: online };
	// It serves on as it did, so that whatever else is named here has its turn.
	const own = { name: words('own'), pm_id: 0, pid: process.ppid, pm2_env: online };
	const host = await fakeHost(home, ({ method, argument }) => {
		if (method === 'getMonitorData') return [own, row];
		return method === 'getReport' && (argument as { orphans?: unknown })?.orphans === true ? { orphans } : {};
	});
	setInterval(() => host.tell('process:event', { event: 'online', process: row }), 500);
	process.kill(Number(words('host')), 'SIGKILL');
	http
		.createServer((_, response) => response.end(JSON.stringify({ pid: process.pid, calls: host.calls })))
		.listen(Number(words('port')));
}

const attacks: Record<string, (words: Words) => unknown> = {
	'/link': plantLinks,
	/** In a process of its own, which nobody takes for a worker. */
	'/host': (words) => {
		const query = JSON.stringify({ ...JSON.parse(words('words')), host: process.ppid });
		childProcess.spawn(process.execPath, [__filename, query], { detached: true, stdio: 'ignore' }).unref();
		return 'begun';
	},
};

const [, , query] = process.argv;
if (query?.startsWith('{')) {
	const words = JSON.parse(query) as Record<string, unknown>;
	void takeHostsPlace((name) => String(words[name]));
} else {
	http
		.createServer((request, response) => {
			const url = new URL(request.url ?? '/', 'http://localhost');
			const attack = attacks[url.pathname];
			if (attack === undefined) response.end('ok');
			else response.end(JSON.stringify(attack((name) => url.searchParams.get(name) ?? '')));
		})
		.listen(Number(process.env['PORT']));
}
