import { messageOf, RollcallError } from '../errors.js';
import type { Fleet } from '../fleet/types.js';
import type { RolloutView } from '../rollout/types.js';
import type { Logger } from '../log.js';
import type { Notifier } from '../system/systemd/notify.js';

interface Parts {
	fleet: Pick<Fleet, 'startRollout' | 'on' | 'off'>;
	logger: Pick<Logger, 'info' | 'error'>;
	notifier: Pick<Notifier, 'reloading' | 'ready'>;
	/** Told when what {@link Reload.note} says has changed. */
	changed(): void;
	/** Receives the result of a reload, for the audit; for a postponed reload, once it is done. */
	ended(outcome: { rollout: string } | { fault: unknown }): void;
}

/** A rollout whose start failed emits no end event, so its state is polled. */
const retryEveryMs = 2_000;

/**
 * `systemctl reload`: certificates and the cluster section are read again, as by restart_service clustering_config of this
 * node. One that comes during a rollout is kept until that has ended; several are one.
 */
export class Reload {
	#isAsked = false;
	#isRunning = false;
	#waitsFor: string | null = null;
	#timer: NodeJS.Timeout | null = null;
	readonly #look = (): void => void this.#attempt();
	readonly #rolloutChanged = ({ state }: RolloutView): void => {
		if (state === 'completed' || state === 'halted' || state === 'aborted') this.#look();
	};

	constructor(private readonly parts: Parts) {
		parts.fleet.on('rollout', this.#rolloutChanged);
	}

	/** A hangup came. */
	ask(): void {
		this.#isAsked = true;
		void this.#attempt();
	}

	/** What an operator should know, in a sentence; null while no reload waits. */
	note(): string | null {
		if (this.#waitsFor === null) return null;
		return `A reload (SIGHUP) waits for the end of another rollout, and is done then: ${this.#waitsFor}`;
	}

	close(): void {
		this.parts.fleet.off('rollout', this.#rolloutChanged);
		this.#isAsked = false;
		this.#wait(null);
	}

	async #attempt(): Promise<void> {
		if (!this.#isAsked || this.#isRunning) return;
		const { fleet, logger, notifier } = this.parts;
		this.#isRunning = true;
		this.#isAsked = false;
		if (this.#waitsFor === null) notifier.reloading();
		let waitsFor: string | null = null;
		try {
			const { id } = await fleet.startRollout({
				type: 'restart_service',
				service: 'clustering_config',
				app: null,
				replicated: false,
				user: 'SIGHUP',
				from: 'signal',
			});
			this.parts.ended({ rollout: id });
		} catch (error) {
			if (error instanceof RollcallError && error.code === 'conflict') waitsFor = error.message;
			else {
				logger.error({ event: 'reload_refused', reason: messageOf(error) });
				this.parts.ended({ fault: error });
			}
		} finally {
			// Never held back for the rollout: systemd would take the reload for one that hangs.
			notifier.ready();
			this.#isRunning = false;
		}
		if (waitsFor !== null) {
			this.#isAsked = true;
			if (this.#waitsFor === null) logger.info({ event: 'reload_waits', reason: waitsFor });
		}
		this.#wait(waitsFor);
		// One that came meanwhile may mean files that were not there yet.
		if (waitsFor === null && this.#isAsked) this.#look();
	}

	#wait(waitsFor: string | null): void {
		const isNew = waitsFor !== this.#waitsFor;
		this.#waitsFor = waitsFor;
		if (this.#timer) clearTimeout(this.#timer);
		this.#timer = waitsFor === null ? null : setTimeout(this.#look, retryEveryMs).unref();
		if (isNew) this.parts.changed();
	}
}
