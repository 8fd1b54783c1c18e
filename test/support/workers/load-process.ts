import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Latencies, LoadOptions, LoadReport } from './load.js';

export type LoadAsk = { ask: 'lap' } | { ask: 'stop' };
export type LoadAnswer =
	| { answer: 'count'; ok: number; lost: number }
	| { answer: 'lap'; laps: Record<string, Latencies> }
	| { answer: 'reports'; reports: Record<string, LoadReport> };

/** Several loads by name, in one process of their own: so whoever measures does not hold them up. */
export class LoadProcess {
	/** As last heard, a moment ago. */
	ok = 0;
	lost = 0;
	readonly #child: ChildProcess;
	readonly #waiting = new Set<() => boolean>();
	#failure: Error | null = null;
	#laps: Record<string, Latencies> | null = null;
	#reports: Record<string, LoadReport> | null = null;

	/** `launcher`: what the process is started by, for example in a network of its own. */
	constructor(loads: Readonly<Record<string, Omit<LoadOptions, 'onAnswer'>>>, launcher: readonly string[] = []) {
		const script = fileURLToPath(new URL('./load-child.js', import.meta.url));
		const [program = '', ...words] = [...launcher, process.execPath, script, JSON.stringify(loads)];
		this.#child = spawn(program, words, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
		this.#child.on('message', (answer: LoadAnswer) => this.#heard(answer));
		this.#child.once('exit', (code, signal) => {
			if (this.#reports === null) this.#failure = new Error(`the load generator ended with ${signal ?? code}`);
			this.#look();
		});
	}

	get pid(): number {
		return this.#child.pid ?? 0;
	}

	/** Resolves once so many requests were answered since the call. */
	answered(count: number): Promise<void> {
		const goal = this.ok + count;
		return this.#until(() => this.ok >= goal);
	}

	/** Resolves once `ok` and `lost` together have come so far. */
	reached(total: number): Promise<void> {
		return this.#until(() => this.ok + this.lost >= total);
	}

	/** Latencies of each load since the last call. */
	async lap(): Promise<Record<string, Latencies>> {
		this.#laps = null;
		this.#ask({ ask: 'lap' });
		await this.#until(() => this.#laps !== null);
		return this.#laps ?? {};
	}

	/** Sends nothing more, waits for what is open, ends the process. */
	async stop(): Promise<Record<string, LoadReport>> {
		this.#ask({ ask: 'stop' });
		await this.#until(() => this.#reports !== null);
		this.#child.disconnect();
		return this.#reports ?? {};
	}

	/** Ends the process at once; does nothing after a stop. */
	kill(): void {
		this.#child.kill('SIGKILL');
	}

	#ask(ask: LoadAsk): void {
		if (this.#child.connected) this.#child.send(ask);
	}

	#heard(answer: LoadAnswer): void {
		switch (answer.answer) {
			case 'count':
				this.ok = answer.ok;
				this.lost = answer.lost;
				break;
			case 'lap':
				this.#laps = answer.laps;
				break;
			case 'reports':
				this.#reports = answer.reports;
				break;
			default:
				answer satisfies never;
		}
		this.#look();
	}

	#look(): void {
		for (const settled of this.#waiting) if (settled()) this.#waiting.delete(settled);
	}

	#until(holds: () => boolean): Promise<void> {
		return new Promise((resolve, reject) => {
			const settled = (): boolean => {
				if (this.#failure) reject(this.#failure);
				else if (holds()) resolve();
				else return false;
				return true;
			};
			if (!settled()) this.#waiting.add(settled);
		});
	}
}
