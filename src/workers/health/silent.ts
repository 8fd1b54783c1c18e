/**
 * What counts as proof of a program that listens nowhere (`ports: []`), in one place: its process lives, and, where the
 * configuration asks for it, it has said that it is ready and a command says that it is well. That it stays so for the whole
 * soak is the replacement's to see. Loaded inside workers too (preload/self-check).
 */
import type { WorkerStatus } from '../connection/control.js';
import type { Probe } from '../connection/worker-connection.js';
import { publicListener } from './listeners.js';

/** By what the preload of a Node worker says. Errors that it throws count until it is proven, as they do before a listen(). */
export function checkSilent(status: WorkerStatus, check: { ready?: true }): Probe {
	const lack = whatLacks(status, check);
	const listeners = status.listens.map(publicListener);
	return { healthy: lack === null, detail: lack ?? 'its process lives', listeners, ports: [] };
}

function whatLacks({ state, faults, started, ready }: WorkerStatus, check: { ready?: true }): string | null {
	const [fault] = faults;
	if (state === 'held' && fault !== undefined) return fault;
	if (started === false) return 'its script is still being loaded';
	return check.ready === true && ready !== true ? notReady : null;
}

const notReady =
	"it has not said process.send('ready'), which health.ready asks for; say it once the worker takes jobs, or take health.ready out";
