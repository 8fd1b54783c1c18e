import { closeSync, openSync, readSync, watch } from 'node:fs';

/** A line of a daemon's log: what happened, and to whom. */
export interface LogLine {
	event?: string;
	rollout?: string;
	node?: string;
	target?: string;
	state?: string;
	[field: string]: unknown;
}

interface Waiting {
	holds: (line: LogLine) => boolean;
	found: (line: LogLine) => void;
}

/** Follows a daemon's log from its present end, over restarts of the daemon. */
export class DaemonLog {
	readonly lines: LogLine[] = [];
	readonly #waiting = new Set<Waiting>();
	readonly #descriptor: number;
	readonly #stop: () => void;
	#rest = '';

	constructor(readonly file: string) {
		this.#descriptor = openSync(file, 'r');
		this.#read();
		this.lines.length = 0;
		const watcher = watch(file, () => this.#read());
		this.#stop = () => watcher.close();
	}

	/** The first line from the index `from` on of which `holds` is true, now or later. */
	async seen(what: string, holds: (line: LogLine) => boolean, from = 0, withinMs = 60_000): Promise<LogLine> {
		const known = this.lines.slice(from).find(holds);
		if (known) return known;
		return new Promise((resolve, reject) => {
			const waiting: Waiting = {
				holds,
				found: (line) => {
					clearTimeout(timer);
					this.#waiting.delete(waiting);
					resolve(line);
				},
			};
			const timer = setTimeout(() => {
				this.#waiting.delete(waiting);
				reject(new Error(`waited ${withinMs} ms for ${what} in ${this.file}`));
			}, withinMs);
			this.#waiting.add(waiting);
		});
	}

	close(): void {
		this.#stop();
		closeSync(this.#descriptor);
	}

	#read(): void {
		const buffer = Buffer.alloc(64 * 1024);
		for (let size = 1; size > 0; ) {
			size = readSync(this.#descriptor, buffer, 0, buffer.length, null);
			this.#rest += buffer.toString('utf8', 0, size);
		}
		const texts = this.#rest.split('\n');
		this.#rest = texts.pop() ?? '';
		for (const text of texts) this.#line(text);
	}

	#line(text: string): void {
		if (!text.startsWith('{')) return;
		const line = JSON.parse(text) as LogLine;
		this.lines.push(line);
		for (const waiting of this.#waiting) if (waiting.holds(line)) waiting.found(line);
	}
}
