import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FleetConfig } from '../../../src/fleet/links/membership.js';
import { until } from './links.js';
import { freePorts } from '../system/ports.js';
import type { StubCommand, StubNews, StubOptions } from './stub-daemon.js';

const script = fileURLToPath(new URL('./stub-daemon.js', import.meta.url));

/** All processes of the fleet: their news, as they come, with the name of the node. */
export interface Told {
	node: string;
	news: StubNews;
}

/** Real fleets, one process each, with workers that are numbers. */
export class StubFleet extends EventEmitter<{ told: [Told] }> {
	readonly folder = mkdtempSync(join(tmpdir(), 'rc-stub-'));
	readonly told: Told[] = [];
	readonly #options = new Map<string, StubOptions>();
	readonly #children = new Map<string, ChildProcess>();

	static async make(
		names: readonly string[],
		stepMs: number,
		rollout: Partial<FleetConfig['rollout']> = {},
	): Promise<StubFleet> {
		const fleet = new StubFleet();
		fleet.setMaxListeners(0);
		const secretFile = join(fleet.folder, 'secret');
		writeFileSync(secretFile, 'a secret of the tests alone\n', { mode: 0o600 });
		const ports = await freePorts(names.length);
		const peers = names.map((name, index) => ({ name, url: `ws://127.0.0.1:${ports[index]}` }));
		for (const [index, name] of names.entries())
			fleet.#options.set(name, {
				config: {
					node: { name },
					cluster: { listen: { host: '127.0.0.1', port: ports[index] ?? 0 }, secret_file: secretFile, peers },
					rollout: {
						max_unavailable: 1,
						deadline: 60_000,
						lease: 3_000,
						on_failure: 'halt',
						hold_after: 0,
						wait_between: 0,
						lb_wait: 0,
						...rollout,
					},
				},
				stateDir: join(fleet.folder, name),
				stepMs,
				held: false,
				firstPid: 1_000 * (index + 1),
			});
		return fleet;
	}

	get names(): string[] {
		return [...this.#options.keys()];
	}

	/** Starts all, or those named, and waits until each is linked to all others that run. */
	async start(names: readonly string[] = this.names): Promise<void> {
		for (const node of names) {
			const child = fork(script, [JSON.stringify(this.#options.get(node))], { serialization: 'json' });
			this.#children.set(node, child);
			child.on('message', (news) => {
				const told = { node, news: news as StubNews };
				this.told.push(told);
				this.emit('told', told);
			});
			child.once('exit', () => this.#children.delete(node));
		}
		for (const node of names) {
			const linked = ({ node: who, news }: Told) =>
				who === node && news.news === 'links' && news.up === this.#children.size - 1;
			const wait = this.wait(linked, `${node} is linked`, 60_000);
			this.command(node, { ask: 'links' });
			await wait;
		}
	}

	/** From now on a step begins and does not end until {@link finish}. To be called before the start. */
	hold(): void {
		for (const options of this.#options.values()) options.held = true;
	}

	/** Lets every step end, those of processes to come too. */
	finish(): void {
		for (const options of this.#options.values()) options.held = false;
		for (const node of this.#children.keys()) this.command(node, { ask: 'finish' });
	}

	command(node: string, command: StubCommand): void {
		this.#children.get(node)?.send(command, () => undefined);
	}

	pid(node: string): number | undefined {
		return this.#children.get(node)?.pid;
	}

	/** SIGKILL unless told otherwise; resolves when it is gone (or at once for a signal that does not end it). */
	async kill(node: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
		const child = this.#children.get(node);
		if (!child) return;
		child.kill(signal);
		if (signal === 'SIGKILL') await once(child, 'exit');
	}

	/** Resolves with the first news, told already since `from` or still to come, that fits. */
	async wait(fits: (told: Told) => boolean, what: string, withinMs = 30_000, from = 0): Promise<Told> {
		let found: Told | undefined;
		const look = (): boolean => {
			found = this.told.slice(from).find(fits);
			return found !== undefined;
		};
		await until(this, ['told'], look, what, withinMs);
		if (!found) throw new Error(what);
		return found;
	}

	async close(): Promise<void> {
		const gone = [...this.#children.values()].map((child) => once(child, 'exit'));
		for (const child of this.#children.values()) child.kill('SIGKILL');
		await Promise.all(gone);
		rmSync(this.folder, { recursive: true, force: true });
	}
}
