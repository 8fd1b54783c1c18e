import { isDeepStrictEqual } from 'node:util';
import type { HealthCheck } from './health-check.js';
import {
	commonListeners,
	type ListenSettings,
	listenSettingsOf,
	type RequiredListener,
	requiredListeners,
} from './listeners.js';
import type { SupervisorRecords } from '../pool/worker-records.js';
import type { WorkerApp } from '../types.js';
import type { Worker } from '../pool/worker.js';

/** An app with more listeners is held to so many of them. */
const listenersMax = 256;

/** Remembers where an app's workers listen, over their deaths and the control plane's, and says what each one must prove. */
export class AppListeners {
	constructor(
		private readonly name: string,
		private readonly records: SupervisorRecords,
		/** Whether the configuration has an app of this name. */
		private readonly isWanted: (app: string) => boolean,
	) {}

	/** What a worker with these settings must listen on. */
	required(settings: ListenSettings): RequiredListener[] {
		const { listeners } = this.records.memory;
		return requiredListeners(settings, listeners[this.name] ?? listeners[this.predecessor(settings) ?? '']);
	}

	/** An app that is new here and has the `PORT` of one that is to leave takes its place, as where an app was renamed. */
	private predecessor({ envPort }: ListenSettings): string | null {
		if (envPort === null) return null;
		const left = this.records.memory.workers.filter(({ app }) => app !== this.name && !this.isWanted(app));
		return left.find(({ settings }) => settings?.envPort === envPort)?.app ?? null;
	}

	/** The ports that every worker of the app must be proven on. */
	requiredPorts(app: WorkerApp): number[] {
		const settings = listenSettingsOf(app);
		const ports = [settings.healthPort, ...this.required(settings).map(({ port }) => port)];
		return [...new Set(ports.filter((port) => port !== null))];
	}

	/** One that is taken in is judged by what it was started with, though the file may say otherwise by now. */
	recall(id: string): ListenSettings | undefined {
		return this.records.memory.workers.find((one) => one.id === id)?.settings;
	}

	/** What decides whether the worker is well. */
	checkOf({ settings, app }: Worker): HealthCheck {
		const { path, timeoutMs, ready } = app.health;
		const required = this.required(settings);
		return { ...settings, path, timeoutMs, required, ...(ready === true ? { ready } : {}) };
	}

	/** Takes up where the serving workers listen now; true if that is news. While two settings serve side by side nothing is learnt. */
	learn(workers: Iterable<Worker>): boolean {
		const serving = [...workers].filter((worker) => worker.isServing);
		const [first] = serving;
		const seen = serving.flatMap(({ news: { listeners: one } }) => (one === null || one.length === 0 ? [] : [one]));
		if (first === undefined || seen.length < serving.length || first.settings.listens === false) return false;
		if (serving.some(({ settings }) => !isDeepStrictEqual(settings, first.settings))) return false;
		const listeners = commonListeners(seen, this.required(first.settings)).slice(0, listenersMax);
		const known = { envPort: first.settings.envPort, listeners };
		const { memory } = this.records;
		if (isDeepStrictEqual(memory.listeners[this.name], known)) return false;
		memory.listeners[this.name] = known;
		return true;
	}
}
