import os = require('node:os');

/** What ends a worker from outside: PM2 sends SIGINT (or the message `shutdown`), systemd SIGTERM. */
type StopWord = 'SIGINT' | 'SIGTERM' | 'shutdown';

const signals = ['SIGINT', 'SIGTERM'] as const;

/** A channel to the host that breaks while something is sent. */
const brokenChannelCodes = new Set(['EPIPE', 'ECONNRESET', 'ERR_IPC_CHANNEL_CLOSED']);

interface Observers {
	/** This worker was asked to leave. The app's own handlers have not run. */
	onStop(): void;
	onFault(message: string): void;
	/** A message of the host; true if it was for the preload, and the app shall not see it. */
	onMessage(message: unknown, handle: unknown): boolean;
	onDisconnect(): void;
	onExit(): void;
}

/**
 * Looks on at the events of the process, without being a listener of those whose listeners change what Node does: an
 * unhandled rejection ends a process only while it has no listener.
 */
class ProcessEvents {
	readonly #emit = process.emit;
	readonly #ownListener = (): void => undefined;
	#released = false;
	#messageListenersBefore = 0;
	#stopWord: StopWord | null = null;
	#lastFault: unknown = null;
	/** The app ends itself by a signal: what that does is no concern of the preload any more. */
	#raised = false;
	#observers: Observers | null = null;

	install(observers: Observers): void {
		const emit = this.#emit;
		this.#observers = observers;
		process.emit = ((event: string | symbol, ...values: unknown[]): boolean => {
			if (this.#intercept(event, values, observers)) return true;
			return Reflect.apply(emit, process, [event, ...values]) as boolean;
		}) as typeof process.emit;
		// Without a listener Node applies a signal's default action and queues messages.
		this.#holdSignals();
		process.on('message', this.#ownListener);
		// The container of PM2 has a listener for messages that is not the app's.
		this.#messageListenersBefore = process.env['pm2_env'] === undefined ? 0 : 1;
	}

	/** True if the event ends here. */
	#intercept(event: string | symbol, values: unknown[], observers: Observers): boolean {
		switch (event) {
			case 'SIGINT':
			case 'SIGTERM':
				return this.#raised ? false : this.#stop(event, observers);
			case 'message':
				if (values[0] === 'shutdown') return this.#stop('shutdown', observers);
				return observers.onMessage(values[0], values[1]);
			case 'uncaughtExceptionMonitor':
			case 'unhandledRejection':
				if (values[0] !== this.#lastFault || values[0] === undefined) observers.onFault(describe(event, values[0]));
				this.#lastFault = values[0];
				return false;
			case 'error':
				return isBrokenChannel(values[0]);
			case 'disconnect':
				observers.onDisconnect();
				return false;
			case 'exit':
				observers.onExit();
				return false;
			default:
				return false;
		}
	}

	#stop(word: StopWord, observers: Observers): true {
		if (!this.#released) {
			this.#stopWord ??= word;
			observers.onStop();
		}
		return true;
	}

	/**
	 * Tells the app's own stop handlers, now that they cannot lose a request. False if it has none. A
	 * worker that leaves on word of the supervisor is told as if PM2 had stopped it, or by `first`.
	 */
	tellApp(first: (typeof signals)[number] = this.#stopWord === 'SIGTERM' ? 'SIGTERM' : 'SIGINT'): boolean {
		this.#released = true;
		if (this.#stopWord === 'shutdown' && this.#appListeners('message') > this.#messageListenersBefore) {
			return Reflect.apply(this.#emit, process, ['message', 'shutdown', undefined]) as boolean;
		}
		const word = [first, ...signals].find((signal) => this.#appListeners(signal) > 0);
		if (word === undefined) return false;
		this.#letAppRaise();
		// Some handlers count the listeners, and leave the end to others if there are any beside their own.
		this.#releaseSignals();
		const told = Reflect.apply(this.#emit, process, [word, word, os.constants.signals[word]]) as boolean;
		if (!this.#raised) this.#holdSignals();
		return told;
	}

	/** Until the app raises a signal itself, one from outside, such as PM2's, must not cut its clean-up short. */
	#holdSignals(): void {
		for (const signal of signals) process.on(signal, this.#ownListener);
	}

	#releaseSignals(): void {
		for (const signal of signals) process.removeListener(signal, this.#ownListener);
	}

	/** An app may end, once it has cleaned up, by taking its handlers away and raising the signal again. */
	#letAppRaise(): void {
		const { kill } = process;
		process.kill = (pid, wanted = 'SIGTERM') => {
			const raised = signals.find((signal) => signal === wanted || os.constants.signals[signal] === wanted);
			if (pid === process.pid && raised !== undefined) {
				this.#raised = true;
				this.#releaseSignals();
				// A process that ends by a signal emits no exit.
				if (process.listenerCount(raised) === 0) this.#observers?.onExit();
			}
			return Reflect.apply(kill, process, [pid, wanted]) as true;
		};
	}

	#appListeners(event: string): number {
		return process.listeners(event as NodeJS.Signals).filter((listener) => listener !== this.#ownListener).length;
	}
}

/**
 * Node's cluster and PM2 send without a callback. When the host has just died, each such message becomes an `error` event
 * of the process, which the cluster makes an exception. The event `disconnect` follows, and workers outlive their host.
 */
function isBrokenChannel(error: unknown): boolean {
	return error instanceof Error && brokenChannelCodes.has((error as NodeJS.ErrnoException).code ?? '');
}

function describe(event: string, reason: unknown): string {
	const what = event === 'unhandledRejection' ? 'unhandled rejection' : 'uncaught exception';
	return `${what}: ${reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)}`;
}

export = ProcessEvents;
