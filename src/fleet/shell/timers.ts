import type { TimerName } from '../core/events.js';
import type { Clock } from '../clock.js';

/** The core's timers: setting a name again replaces it, also when it was due already and its event waits. */
export class CoreTimers {
	readonly #set = new Map<TimerName, { id: number; cancel(): void }>();
	#ids = 0;

	/** `onDue` gets the name and which setting of it came due. */
	constructor(
		private readonly clock: Clock,
		private readonly onDue: (name: TimerName, id: number) => void,
	) {}

	/** `at` is on the node's monotonic clock. */
	set(name: TimerName, at: number): void {
		this.clear(name);
		this.#ids += 1;
		const id = this.#ids;
		const fire = (): void => {
			// A timer of the platform may come a little early.
			if (this.clock.now() < at) this.set(name, at);
			else this.onDue(name, id);
		};
		this.#set.set(name, { id, cancel: this.clock.after(at - this.clock.now(), fire) });
	}

	clear(name: TimerName): void {
		this.#set.get(name)?.cancel();
		this.#set.delete(name);
	}

	clearAll(): void {
		for (const name of [...this.#set.keys()]) this.clear(name);
	}

	/** Whether this setting still counts; it is used up by the asking. */
	take(name: TimerName, id: number | undefined): boolean {
		return this.#set.get(name)?.id === id && this.#set.delete(name);
	}
}
