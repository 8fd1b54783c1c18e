/** Places of an app's instances: each one gets a port by its place where the app's ports are given. */
import type { WorkerApp } from './types.js';
import type { Worker } from './worker.js';

/** The port of the n-th instance: the given ones in turn, then the ones after the last. null if none was given. */
export function portOf(app: WorkerApp, slot: number): number | null {
	const last = app.ports.at(-1);
	if (last === undefined) return null;
	if (app.reusePort) return last;
	return app.ports[slot] ?? last + (slot - app.ports.length + 1);
}

/** The place of a worker's port among its app's; null for one that has none. */
export function slotOf(worker: Worker | undefined): number | null {
	if (!worker || worker.port === null) return null;
	const { ports } = worker.app;
	const given = ports.indexOf(worker.port);
	if (given >= 0) return given;
	return worker.port - (ports.at(-1) ?? worker.port) + ports.length - 1;
}

/** The first place that nobody has. */
export function freePlace(taken: ReadonlySet<number | null>): number {
	let place = 0;
	while (taken.has(place)) place += 1;
	return place;
}
