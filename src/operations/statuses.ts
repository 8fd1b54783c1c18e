import { EventEmitter } from 'node:events';

export const statusIds = ['primary', 'maintenance', 'availability'] as const;
export type StatusId = (typeof statusIds)[number];
export const availabilities = ['Available', 'Unavailable'] as const;
export type Availability = (typeof availabilities)[number];

/** Times in ms since 1970. */
export interface StatusRecord {
	id: StatusId;
	status: string;
	__createdtime__: number;
	__updatedtime__: number;
}

/** An operator's own words about the node. In memory alone: a control plane that starts again knows none. */
export class Statuses extends EventEmitter<{ changed: [StatusId] }> {
	readonly #records = new Map<StatusId, StatusRecord>();
	readonly #now: () => number;

	constructor(now: () => number = Date.now) {
		super();
		this.#now = now;
	}

	set(id: StatusId, status: string): StatusRecord {
		const now = this.#now();
		const record = { id, status, __createdtime__: this.#records.get(id)?.__createdtime__ ?? now, __updatedtime__: now };
		// A key of a Map keeps its place when it is set again, so the order is that of the first setting.
		this.#records.set(id, record);
		this.emit('changed', id);
		return { ...record };
	}

	get(id: StatusId): StatusRecord | undefined {
		const record = this.#records.get(id);
		return record && { ...record };
	}

	/** In the order set; one that was cleared starts anew. */
	list(): StatusRecord[] {
		return [...this.#records.values()].map((record) => ({ ...record }));
	}

	clear(id: StatusId): void {
		if (this.#records.delete(id)) this.emit('changed', id);
	}

	/** What the operator said of availability; null when nothing. */
	availability(): Availability | null {
		return this.#records.get('availability')?.status === 'Unavailable'
			? 'Unavailable'
			: this.#records.has('availability')
				? 'Available'
				: null;
	}
}
