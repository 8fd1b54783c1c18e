/** Places of an app's instances. Each has a number, and, where the app's ports are given, a port by that number. */
import type { WorkerRecord } from './worker-records.js';
import type { WorkerApp } from '../types.js';

export interface Place {
	/** The number of the instance within its set, from 0; a replacement has the number of the worker whose place it takes. */
	slot: number;
	/** null for a worker with a preload, which says itself where it listens. */
	port: number | null;
}

/** The port of the n-th instance: the given ones in turn, then the ones after the last. null if none was given. */
export function portOf(app: WorkerApp, slot: number): number | null {
	const last = app.ports.at(-1);
	if (last === undefined) return null;
	if (app.reusePort) return last;
	return app.ports[slot] ?? last + (slot - app.ports.length + 1);
}

/** Why an instance listens elsewhere than on its port, as the end of a sentence: an explicit PORT reaches every instance in place of its own. */
export function overriddenPort({ env }: Pick<WorkerApp, 'env'>, port: number | null): string {
	const { PORT } = env;
	if (port === null || PORT === undefined || PORT === String(port)) return '';
	return `; env.PORT gives it ${PORT} in place of ${port}: take env.PORT out, since each instance gets its own port from ports`;
}

/** The first number that is not taken. */
export function freePlace(taken: ReadonlySet<number>): number {
	let place = 0;
	while (taken.has(place)) place += 1;
	return place;
}

/** A worker's recorded place; earlier versions recorded the port only. */
export function placeOnRecord(
	{ slot, port }: Pick<WorkerRecord, 'slot' | 'port'>,
	app: WorkerApp,
	taken: ReadonlySet<number>,
): Place {
	return { slot: slot ?? slotOfPort(app, port) ?? freePlace(taken), port };
}

/**
 * The numbers of new workers, out of those that the kept ones leave: first that of the old worker whose turn it is, so that
 * a program that has a port for itself starts on the port that is just given back.
 */
export function placesFor(
	news: readonly string[],
	olds: readonly Pick<Place, 'slot'>[],
	kept: readonly Pick<Place, 'slot'>[],
): Map<string, number> {
	const taken = new Set(kept.map(({ slot }) => slot));
	const wanted = news.length + kept.length;
	const places = new Map<string, number>();
	for (const [index, id] of news.entries()) {
		const slot = olds[index]?.slot;
		if (slot === undefined || slot >= wanted || taken.has(slot)) continue;
		places.set(id, slot);
		taken.add(slot);
	}
	for (const id of news) {
		if (places.has(id)) continue;
		const slot = freePlace(taken);
		places.set(id, slot);
		taken.add(slot);
	}
	return places;
}

export const bySlot = (one: Pick<Place, 'slot'>, other: Pick<Place, 'slot'>): number => one.slot - other.slot;

function slotOfPort({ ports, reusePort }: WorkerApp, port: number | null): number | null {
	if (port === null || reusePort) return null;
	const given = ports.indexOf(port);
	if (given >= 0) return given;
	return Math.max(0, port - (ports.at(-1) ?? port) + ports.length - 1);
}
