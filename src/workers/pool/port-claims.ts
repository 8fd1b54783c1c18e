import type { AppListeners } from '../health/app-listeners.js';
import { listenSettingsOf, nameOf, overlaps, type PublicListener } from '../health/listeners.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from './worker.js';

/** What of an app's pool says where it listens. */
interface Claimant {
	readonly name: string;
	readonly listeners: AppListeners;
	readonly workers: ReadonlyMap<string, Worker>;
}

/**
 * Which app has which port. The cluster of one worker host gives a socket to every worker that asks for the same port, so
 * nothing else keeps two apps from answering each other's requests.
 */
export class PortClaims {
	private readonly claimants = new Set<Claimant>();

	/** `wanted`: the apps of the configuration. One that is on its way out claims nothing, so that its successor can have its port. */
	constructor(private wanted: readonly WorkerApp[]) {}

	want(apps: readonly WorkerApp[]): void {
		this.wanted = apps;
	}

	isWanted(app: string): boolean {
		return this.wanted.some(({ name }) => name === app);
	}

	add(claimant: Claimant): void {
		for (const one of this.claimants) if (one.name === claimant.name) this.claimants.delete(one);
		this.claimants.add(claimant);
	}

	/** Why a worker of the app may not listen there; null if it may. */
	clash(app: WorkerApp, listeners: readonly PublicListener[]): string | null {
		for (const claimant of this.claimants) {
			const wanted = this.wanted.find((one) => one.name === claimant.name);
			if (claimant.name === app.name || wanted === undefined) continue;
			// Another user's workers say where they listen, and the kernel gives no port to two users.
			if (wanted.user !== app.user) continue;
			const claimed = claimsOf(claimant, wanted);
			const taken = listeners.find((one) => claimed.some((other) => overlaps(one, other)));
			if (taken)
				return `${nameOf(taken)} is app ${claimant.name}'s; give one of the two another port (two apps that exchange theirs need a third port in between, and two rolls)`;
		}
		return null;
	}
}

function claimsOf({ listeners, workers }: Claimant, wanted: WorkerApp): PublicListener[] {
	const open = [...workers.values()].filter(({ lifecycle: { phase } }) => phase === 'joining' || phase === 'serving');
	return [...listeners.required(listenSettingsOf(wanted)), ...open.flatMap(({ news }) => news.listeners ?? [])];
}
