/**
 * `npm start`: a fleet of three nodes on this host, to be rolled from a second terminal. Ctrl-C ends it and leaves no
 * process, socket or file behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endInstance } from '../cli/stop/instance.js';
import { readPlaces } from '../cli/client/places.js';
import { messageOf } from '../errors.js';
import { type DemoFleet, type DemoNode, writeFleet } from './fleet.js';

/** A slow host may need long to start three nodes with their workers at once. */
const readyMaxMs = 120_000;
const askMs = 100;
/** How long a node's processes may take to end before they are killed. */
const endMaxMs = 40_000;
const logTailLines = 20;

const mainScript = fileURLToPath(new URL('../main.js', import.meta.url));

interface Running {
	node: DemoNode;
	child: ChildProcess;
	logFile: string;
}

async function main(): Promise<void> {
	const stop = new AbortController();
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
	const fleet = await writeFleet();
	const running: Running[] = [];
	try {
		for (const node of fleet.nodes) running.push(startNode(fleet, node));
		await Promise.all(running.map((one) => untilReady(one, stop.signal)));
		if (!stop.signal.aborted) process.stdout.write(welcome(fleet));
		await untilOver(running, stop.signal);
	} catch (error) {
		if (!stop.signal.aborted) {
			process.stderr.write(`${messageOf(error)}\n`);
			process.exitCode = 1;
		}
	} finally {
		process.stderr.write('\nending the demo…\n');
		await endFleet(fleet);
	}
}

/** Each daemon is a process group of its own, so that Ctrl-C reaches the demo alone, which then ends them in order. */
function startNode(fleet: DemoFleet, node: DemoNode): Running {
	const logFile = join(dirname(node.configFile), 'daemon.log');
	const log = openSync(logFile, 'w', 0o600);
	const child = spawn(process.execPath, [mainScript, 'daemon', '--config', node.configFile], {
		detached: true,
		stdio: ['ignore', log, log],
		env: {
			PATH: process.env['PATH'] ?? '/usr/bin:/bin',
			ROLLCALL_ADMIN_USERNAME: fleet.username,
			ROLLCALL_ADMIN_PASSWORD: fleet.password,
		},
	});
	closeSync(log);
	return { node, child, logFile };
}

async function untilReady({ node, child, logFile }: Running, signal: AbortSignal): Promise<void> {
	const until = performance.now() + readyMaxMs;
	while (!signal.aborted && !(await isReady(node.socketPath))) {
		if (child.exitCode !== null || child.signalCode !== null) {
			throw new Error(`${node.name} ended before it was ready:\n${tailOf(logFile)}`);
		}
		if (performance.now() > until) throw new Error(`${node.name} did not become ready:\n${tailOf(logFile)}`);
		await delay(askMs);
	}
}

function isReady(socketPath: string): Promise<boolean> {
	return new Promise((resolve) => {
		const asked = request({ socketPath, path: '/readyz', host: 'localhost', timeout: readyMaxMs }, (response) => {
			response.resume();
			resolve(response.statusCode === 200);
		});
		asked.once('error', () => resolve(false));
		asked.end();
	});
}

function tailOf(file: string): string {
	return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-logTailLines).join('\n');
}

/** Runs until the demo is stopped. A daemon that a user kills on purpose is not restarted. */
async function untilOver(running: readonly Running[], signal: AbortSignal): Promise<void> {
	for (const { node, child } of running) {
		child.once('exit', (_code, killedBy) => {
			// A daemon that exits without a signal was asked to restart: its successor is another process.
			if (signal.aborted || killedBy === null) return;
			const again = `node ${here(mainScript)} daemon --config ${node.configFile}`;
			const text = `The daemon of ${node.name} was ended by ${killedBy}; its workers go on. Start it again: ${again}`;
			process.stdout.write(`\n${text}\n`);
		});
	}
	if (signal.aborted) return;
	// A pending promise alone does not keep Node alive when every daemon is gone.
	const alive = setInterval(() => undefined, 60_000);
	await once(signal, 'abort').finally(() => clearInterval(alive));
}

async function endFleet(fleet: DemoFleet): Promise<void> {
	const ends = fleet.nodes.map(async ({ configFile }) => {
		const places = await readPlaces(configFile, {});
		await endInstance(places, {
			timeoutMs: endMaxMs,
			kill: true,
			say: () => undefined,
			signal: new AbortController().signal,
		});
	});
	for (const result of await Promise.allSettled(ends)) {
		if (result.status === 'rejected') process.stderr.write(`${messageOf(result.reason)}\n`);
	}
	await killRest(fleet.folder);
	rmSync(fleet.folder, { recursive: true, force: true, maxRetries: 5 });
}

/** A daemon that has not taken its lock yet, or a successor that is about to, is found by its command line alone. */
async function killRest(folder: string): Promise<void> {
	const until = performance.now() + endMaxMs;
	for (let left = processesOf(folder); left.length > 0 && performance.now() < until; left = processesOf(folder)) {
		for (const pid of left) killIfThere(pid);
		await delay(askMs);
	}
}

function killIfThere(pid: number): void {
	try {
		process.kill(pid, 'SIGKILL');
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
	}
}

function processesOf(folder: string): number[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
		.filter((name) => commandLineOf(name).includes(`${folder}/`))
		.map(Number);
}

function commandLineOf(pid: string): string {
	try {
		const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
		// Only Rollcall's own: an operator's `tail -f` on a log of the demo is none of ours.
		return line.split('\0').includes('daemon') || line.startsWith('rollcall worker-host') ? line : '';
	} catch {
		return '';
	}
}

const here = (path: string) => {
	const short = relative(process.cwd(), path);
	return short.startsWith('..') ? path : short;
};

function welcome({ nodes, credentialsFile }: DemoFleet): string {
	const rollcall = `node ${here(mainScript)}`;
	const [first] = nodes;
	const socket = first?.socketPath ?? '';
	const rows = nodes.map(
		({ name, appPort, operationsPort }) =>
			`  ${name.padEnd(6)} app http://127.0.0.1:${appPort}/   operations http://127.0.0.1:${operationsPort}/`,
	);
	return `Three nodes run, each with two workers:
${rows.join('\n')}

In a second terminal, replace every worker of the fleet, node after node:
  ${rollcall} rollout start --socket ${socket}

Watch it:
  ${rollcall} status --node all --watch --socket ${socket}
  curl http://127.0.0.1:${first?.appPort}/                      (the pid changes, no request is lost)
Over TCP the operations API wants credentials; they are in a file of mode 0600:
  ${rollcall} workers --url http://127.0.0.1:${first?.operationsPort} --credentials ${credentialsFile}

Ctrl-C ends it all and leaves nothing behind.
`;
}

await main();
