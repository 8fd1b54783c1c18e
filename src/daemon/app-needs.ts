import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import type { WorkerApp } from '../workers/types.js';

/** What a look at this host can tell; a test has its own. */
export interface Surroundings {
	/** Whether a process listens on the port. */
	isListenedOn(port: number): boolean;
	/** Apps that have a worker here. */
	running: ReadonlySet<string>;
	/** Ports of all workers here; null: some worker is missing, so the port of one may be held without its name. */
	ownPorts: ReadonlySet<number> | null;
	/** Where programs are looked for. */
	path: string;
}

/** What an app lacks on this host, so that no worker of it could start; null if nothing is known to be missing. */
export function findLack(app: WorkerApp, around: Surroundings): string | null {
	return scriptLack(app) ?? interpreterLack(app, around.path) ?? commandLack(app, around.path) ?? portLack(app, around);
}

function scriptLack({ name, script }: WorkerApp): string | null {
	const state = look(script);
	if (state === 'missing') return `app ${name}: its script ${script} is not there; put the release there first`;
	return state === 'other' ? `app ${name}: its script ${script} is no file` : null;
}

/** `node` is the one that the worker host runs on. */
function interpreterLack(app: WorkerApp, path: string): string | null {
	const { name, interpreter, script } = app;
	if (interpreter === 'node') return null;
	// The script runs without one.
	if (interpreter === 'none') {
		return isExecutable(script) ? null : `app ${name}: its script ${script} is not executable; chmod +x it`;
	}
	if (isProgram(interpreter, app, path)) return null;
	return `app ${name}: its interpreter ${interpreter} is not there, or not executable; install it or correct http_workers`;
}

function commandLack(app: WorkerApp, path: string): string | null {
	const [program] = app.health.command ?? [];
	if (program === undefined || isProgram(program, app, path)) return null;
	return `app ${app.name}: ${program} of its health.command is not there, or not executable; install it or correct http_workers`;
}

function isProgram(name: string, { cwd, env }: WorkerApp, path: string): boolean {
	const places = name.includes('/')
		? [resolve(cwd, name)]
		: (env['PATH'] ?? path).split(delimiter).map((folder) => join(folder, name));
	return places.some((place) => ['file', 'unknown'].includes(look(place)) && isExecutable(place));
}

/** An app that is new here needs its ports; what runs already shares or hands over its own. */
function portLack({ name, ports }: WorkerApp, { isListenedOn, running, ownPorts }: Surroundings): string | null {
	if (ownPorts === null || running.has(name)) return null;
	const taken = ports.find((port) => !ownPorts.has(port) && isListenedOn(port));
	if (taken === undefined) return null;
	return `app ${name}: port ${taken} is taken by another process; stop that (ss -ltnp), or give the app another port`;
}

function look(file: string): 'file' | 'other' | 'missing' | 'unknown' {
	try {
		return statSync(file).isFile() ? 'file' : 'other';
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		// The app's own user may look where this one may not.
		return code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unknown';
	}
}

function isExecutable(file: string): boolean {
	try {
		accessSync(file, constants.X_OK);
		return true;
	} catch (error) {
		// Executable for the app's user, perhaps.
		return (error as NodeJS.ErrnoException).code === 'EACCES' && look(file) === 'unknown';
	}
}
