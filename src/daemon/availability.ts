import { EventEmitter } from 'node:events';
import type { Availability, Statuses } from '../operations/statuses.js';
import type { ReadinessFacts } from '../server/readiness.js';
import type { AppReadiness } from '../workers/types.js';

/** How this node stands apart from its workers: whether it has started, drains, and what the operator says of it. */
export class Standing extends EventEmitter<{ changed: [] }> {
	started = false;
	#draining = false;

	constructor(
		private readonly statuses: Statuses,
		private readonly apps: () => AppReadiness[],
	) {
		super();
		statuses.on('changed', (id) => {
			if (id === 'availability') this.emit('changed');
		});
	}

	get draining(): boolean {
		return this.#draining;
	}

	/** From now on the node is not ready, until its process ends. */
	drain(): void {
		this.#draining = true;
		this.emit('changed');
	}

	get availability(): Availability | null {
		return this.statuses.availability();
	}

	/** What an operator says of it; null: nothing any more. */
	setAvailability(wanted: Availability | null): void {
		if (wanted === null) this.statuses.clear('availability');
		else this.statuses.set('availability', wanted);
	}

	facts(notes: readonly string[] = []): ReadinessFacts {
		const { draining, availability } = this;
		const apps = this.apps();
		return { started: this.started || serves(apps), draining, availability, apps, notes };
	}
}

/** Whether every app that listens serves, while one that listens nowhere still has its first chance: no client waits for that. */
function serves(apps: readonly AppReadiness[]): boolean {
	const listening = apps.filter(({ listens }) => listens !== false);
	return listening.length < apps.length && listening.every(({ wanted, healthy }) => healthy >= wanted);
}
