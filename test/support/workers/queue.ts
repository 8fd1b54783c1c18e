import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ReplacementResult, Supervisor, WorkerApp } from '../../../src/workers/types.js';
import { createFor, plainApp } from './supervised.js';

/** What a queue worker of a test does beside its jobs, as text of the program. */
export interface Ways {
	/** At its start, before its first job. */
	before?: string;
	/** How long a job takes. */
	jobMs?: number;
	/** A job takes until this file is there. */
	until?: string;
	/** A job is a process of its own, and done if that ends well. */
	child?: boolean;
	/** At SIGTERM it finishes its job and exits; false: it takes no notice. */
	finishes?: boolean;
}

const usual: Required<Ways> = { before: '', jobMs: 40, until: '', child: false, finishes: true };

/**
 * A queue worker of Node. Each process has a file in the folder `jobs` of its own: `+` for each job that it takes, `-` when
 * that is done. At its start it looks whether another process of its app lives, and notes that in the folder `together`.
 */
export function nodeQueue(ways: Ways = {}): string {
	const { before, jobMs, until, child, finishes } = { ...usual, ...ways };
	return `
const fs = require('fs'), { spawn } = require('child_process');
const file = 'jobs/' + process.env.QUEUE + '-' + process.pid;
for (const name of fs.readdirSync('jobs')) {
	const [, queue, pid] = /^(.*)-(\\d+)$/.exec(name);
	if (queue !== process.env.QUEUE) continue;
	try { process.kill(+pid, 0); fs.writeFileSync('together/' + queue + '-' + pid + '-' + process.pid, ''); } catch {}
}
fs.writeFileSync(file, '');
let ending = false, busy = false;
process.on('SIGTERM', () => { ${finishes ? 'ending = true; if (!busy) process.exit(0);' : ''} });
function next() {
	busy = true;
	fs.appendFileSync(file, '+');
	if (${child}) spawn('sleep', ['${jobMs / 1_000}']).on('exit', (code) => (code === 0 ? done() : process.exit(1)));
	else setTimeout(done, ${jobMs});
}
function done() {
	if ('${until}' !== '' && !fs.existsSync('${until}')) return setTimeout(done, 10);
	fs.appendFileSync(file, '-');
	busy = false;
	if (ending) process.exit(0);
	setTimeout(next, 5);
}
${before}
next();
`;
}

/** The same in Python. */
export function pythonQueue(ways: Ways = {}): string {
	const { before, jobMs, until, child, finishes } = { ...usual, ...ways };
	return `
import os, signal, subprocess, sys, time
queue = os.environ['QUEUE']
file = 'jobs/%s-%d' % (queue, os.getpid())
for name in os.listdir('jobs'):
    other, pid = name.rsplit('-', 1)
    if other == queue and os.path.exists('/proc/' + pid):
        open('together/%s-%s-%d' % (queue, pid, os.getpid()), 'w').close()
open(file, 'w').close()
ending = False
def end(*_):
    global ending
    ending = ${finishes ? 'True' : 'False'}
signal.signal(signal.SIGTERM, end)
def note(mark):
    with open(file, 'a') as jobs: jobs.write(mark)
${before}
while not ending:
    note('+')
    until = time.monotonic() + ${jobMs / 1_000}
    if ${child ? 'True' : 'False'}: subprocess.run(['sleep', '${jobMs / 1_000}'], check=True)
    while time.monotonic() < until: time.sleep(0.005)
    while '${until}' and not os.path.exists('${until}'): time.sleep(0.01)
    note('-')
    time.sleep(0.005)
`;
}

/** Apps that listen nowhere on one supervisor, each with a release of its own that can be changed. */
export class Queues {
	readonly folder = mkdtempSync(join(tmpdir(), 'rq-'));
	supervisor: Supervisor;
	private releases = 0;

	private constructor(public apps: WorkerApp[]) {
		for (const name of ['jobs', 'together']) mkdirSync(join(this.folder, name));
		this.apps = apps.map((app) => ({
			...app,
			script: join(this.folder, app.name),
			cwd: this.folder,
			env: { QUEUE: app.name, ...app.env },
		}));
		this.supervisor = this.create();
	}

	static async start(
		queues: readonly { name: string; program: string; settings?: Partial<WorkerApp> }[],
	): Promise<Queues> {
		const apps = queues.map(({ name, settings }) => ({ ...queueApp, name, ...settings }));
		const started = new Queues(apps);
		for (const { name, program } of queues) started.release(name, program);
		await started.supervisor.start();
		return started;
	}

	create(): Supervisor {
		const [app = queueApp] = this.apps;
		return createFor(app, this.folder, this.apps);
	}

	/** Lets the app have another release, in a file of its own. */
	release(name: string, program: string): string {
		this.releases += 1;
		const file = join(this.folder, `release-${this.releases}`);
		writeFileSync(file, program, { mode: 0o755 });
		const link = join(this.folder, name);
		if (existsSync(link)) unlinkSync(link);
		symlinkSync(file, link);
		return file;
	}

	change(name: string, settings: Partial<WorkerApp>): void {
		this.apps = this.apps.map((app) => (app.name === name ? { ...app, ...settings } : app));
	}

	replace(onProgress = (_: string): void => undefined): Promise<ReplacementResult> {
		return this.supervisor.replace({ only: null, apps: this.apps, deadlineMs: 60_000, onProgress });
	}

	/** What was said of one app in a result. */
	reasonOf(name: string, { reason }: ReplacementResult): string | null {
		const [, text] = new RegExp(`^${name}: ([^]*?)(?=\\n[a-z-]+: |$(?![^]))`, 'm').exec(reason ?? '') ?? [];
		return text ?? null;
	}

	/** Jobs of processes that are gone that were begun and not done, by app; the files of all of them are read. */
	cutJobs(name: string): number {
		const living = new Set(this.supervisor.identities(name).map(({ pid }) => pid));
		return readdirSync(join(this.folder, 'jobs'))
			.filter((file) => file.replace(/-\d+$/, '') === name && !living.has(Number(file.split('-').at(-1))))
			.map((file) => readFileSync(join(this.folder, 'jobs', file), 'latin1'))
			.filter((marks) => marks.endsWith('+')).length;
	}

	/** Whether a process of the app has a job. */
	isBusy(name: string): boolean {
		const [{ pid } = { pid: 0 }] = this.supervisor.identities(name);
		const file = join(this.folder, 'jobs', `${name}-${pid}`);
		return existsSync(file) && readFileSync(file, 'latin1').endsWith('+');
	}

	/** Which processes of an app ran at the same time. */
	get together(): string[] {
		return readdirSync(join(this.folder, 'together'));
	}

	async end(): Promise<void> {
		await this.supervisor.shutdown();
		rmSync(this.folder, { recursive: true, force: true });
	}
}

export const queueApp: WorkerApp = {
	...plainApp,
	name: 'queue',
	instances: 1,
	surge: 1,
	listens: false,
	drainTimeoutMs: 30_000,
	health: { path: null, timeoutMs: 5_000, deadlineMs: 30_000, soakMs: 400, intervalMs: 1_000, failures: 3 },
};
