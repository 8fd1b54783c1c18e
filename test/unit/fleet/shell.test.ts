import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, describe, it } from 'node:test';
import { RollcallError } from '../../../src/errors.js';
import { systemClock } from '../../../src/fleet/clock.js';
import type { RecordLog } from '../../../src/fleet/shell/record-log.js';
import type { Core, StepRequest } from '../../../src/fleet/ports.js';
import { restartAfterMs, Shell } from '../../../src/fleet/shell/shell.js';
import { createLogger } from '../../../src/log.js';
import type { CoreEffect, CoreEvent, DurableEntry } from '../../../src/fleet/core/events.js';
import type { Snapshot, StepResult } from '../../../src/rollout/types.js';

const snapshot: Snapshot = { boot: 1, workers: [], links: [], configHash: null };
const result: StepResult = {
	outcome: 'back',
	before: snapshot,
	after: null,
	wanted: 0,
	oldGone: true,
	cutOff: 0,
	reason: null,
};
const entry = (boot: number): DurableEntry => ({ kind: 'boot', boot });
const step = { kind: 'run_step', spec: { id: 'r' }, attempt: 1, before: snapshot, recovered: false } as StepRequest;

/** A disk that the test lets write, or fail. */
class HeldLog implements RecordLog {
	readonly file = 'held';
	readonly recovered = [];
	readonly damage = null;
	readonly written: unknown[] = [];
	readonly waiting: { entries: readonly unknown[]; settle(error?: RollcallError): void }[] = [];
	onAppend: () => void = () => undefined;
	append(entries: readonly unknown[]): Promise<void> {
		return new Promise((resolve, reject) => {
			const settle = (error?: RollcallError): void => {
				if (!error) this.written.push(...entries);
				if (error) reject(error);
				else resolve();
			};
			this.waiting.push({ entries, settle });
			this.onAppend();
		});
	}
	/** Waits for the next append, and settles it. */
	async settle(error?: RollcallError): Promise<void> {
		while (this.waiting.length === 0) await new Promise<void>((resolve) => Object.assign(this, { onAppend: resolve }));
		this.waiting.shift()?.settle(error);
		await turns();
	}
	rewrite = (entries: readonly unknown[]): Promise<void> => {
		this.written.splice(0, this.written.length, ...entries);
		return Promise.resolve();
	};
	reread = (): Promise<unknown[]> => Promise.resolve([...this.written]);
	bytes = 0;
	size = () => ({ entries: this.written.length, bytes: this.bytes });
	syncs = () => [];
	close = (): Promise<void> => Promise.resolve();
}

/** Lets everything that is ready run. */
const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the shell around the core', () => {
	let shell: Shell | undefined;
	afterEach(() => shell?.close());

	function made(answer: (event: CoreEvent) => CoreEffect[]) {
		const log = new HeldLog();
		const seen: CoreEvent[] = [];
		const sent: unknown[] = [];
		const cores = { made: 0 };
		const running: { step: StepRequest; end(): void }[] = [];
		const core: Core = {
			step: (event) => {
				seen.push(event);
				return answer(event);
			},
			view: () => undefined,
			views: () => [],
			plan: () => assert.fail('not asked for'),
			coordinator: () => null,
		};
		const made = new Shell({
			createCore: () => {
				cores.made += 1;
				return core;
			},
			log,
			process: 'p',
			clock: systemClock,
			logger: createLogger('silent'),
			send: (_to, message) => sent.push(message),
			readiness: () => ({ apps: [], availability: null, draining: false }),
			snapshot: () => snapshot,
			check: () => Promise.reject(new RollcallError('unavailable', 'the fault')),
			runStep: (asked) => new Promise((resolve) => running.push({ step: asked, end: () => resolve(result) })),
			runHook: () => Promise.resolve({ state: 'done', detail: null }),
			booted: () => undefined,
			newId: () => 'token',
		});
		shell = made;
		return { shell: made, log, seen, sent, cores, running };
	}
	const heartbeat = { kind: 'heartbeat', epoch: { counter: 1, node: 'a' }, number: 1, live: true } as const;
	const kinds = (events: readonly CoreEvent[]): string[] => events.map((event) => event.kind);

	it('nothing after a store happens before it is on disk, and no event overtakes it', async () => {
		const { shell, log, seen, sent } = made((event) =>
			event.kind === 'link_down'
				? [
						{ kind: 'store', entries: [entry(2)] },
						{ kind: 'send', to: 'b', message: heartbeat },
					]
				: [],
		);
		await shell.start([], false);
		shell.tell({ kind: 'link_down', node: 'b' });
		shell.tell({ kind: 'link_down', node: 'c' });
		await turns();
		assert.deepEqual([kinds(seen), sent.length], [['started', 'link_down'], 0]);
		await log.settle();
		assert.deepEqual([kinds(seen), sent.length], [['started', 'link_down', 'link_down'], 1]);
		await log.settle();
		assert.equal(sent.length, 2);
		assert.equal(shell.boot, 2);
	});

	it('entries of a later build outlive a rewrite, as do fields that it added, and no core sees such an entry', async () => {
		const { shell, log, seen } = made((event) =>
			event.kind === 'link_down' ? [{ kind: 'store', entries: [entry(2)] }] : [],
		);
		const later = [{ kind: 'weather', degrees: 21 }, { kind: 'toString' }, 7, null];
		const peer = { kind: 'peer', node: 'beta', peer: { instance: 'i', boot: 1, process: 'p', weather: 21 } };
		await shell.start([entry(1), ...later, peer], false);
		log.bytes = 1024 * 1024;
		shell.tell({ kind: 'link_down', node: 'b' });
		await log.settle();
		assert.deepEqual(log.written.slice(-4), later);
		assert.ok(log.written.some((one) => JSON.stringify(one) === JSON.stringify(peer)));
		assert.equal(seen[0]?.kind === 'started' && seen[0].durable.boot, 1);
	});

	it('a store that fails ends the core: nothing follows, whoever asked is told, and a new one starts from the disk', async () => {
		const { shell, log, seen, sent, cores } = made((event) =>
			event.kind === 'request'
				? [
						{ kind: 'store', entries: [entry(9)] },
						{ kind: 'send', to: 'b', message: heartbeat },
					]
				: [],
		);
		await shell.start([entry(3)], false);
		const failed = once(shell, 'failed');
		const refused = assert.rejects(shell.request({} as never), { code: 'unavailable', message: /disk is full/ });
		shell.tell({ kind: 'link_down', node: 'b' });
		log.written.push(entry(3));
		await log.settle(new RollcallError('unavailable', 'the disk is full'));
		await refused;
		await failed;
		assert.deepEqual([kinds(seen), sent.length, shell.core], [['started', 'request'], 0, null]);
		assert.match(shell.endedBy, /disk is full/);
		await assert.rejects(shell.request({} as never), {
			code: 'unavailable',
			message: /every second; ask another node meanwhile.*the disk is full/,
		});
		const deadline = performance.now() + 20 * restartAfterMs;
		while (cores.made < 2 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
		const started = seen.at(-1);
		assert.ok(started?.kind === 'started');
		assert.equal(started.durable.boot, 3);
	});

	it('a step that runs when the core is ended is not begun again; its result finds the new core', async () => {
		const { shell, log, seen, cores, running } = made((event) => {
			if (event.kind === 'started') return [step];
			return event.kind === 'link_down' ? [{ kind: 'store', entries: [entry(4)] }] : [];
		});
		await shell.start([], false);
		shell.tell({ kind: 'link_down', node: 'b' });
		await log.settle(new RollcallError('unavailable', 'the disk is full'));
		const deadline = performance.now() + 20 * restartAfterMs;
		while (cores.made < 2 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
		assert.equal(running.length, 1);
		running[0]?.end();
		await turns();
		assert.equal(kinds(seen).filter((kind) => kind === 'step_ended').length, 1);
	});

	it('a timer that was set anew or cleared does not fire, even if it was due already', async () => {
		const { shell, log, seen } = made((event) => {
			const now = event.now;
			if (event.kind === 'started')
				return [
					{ kind: 'set_timer', name: 'lease', at: now + 1 },
					{ kind: 'set_timer', name: 'local', at: now + 1 },
				];
			if (event.kind === 'readiness') return [{ kind: 'store', entries: [entry(5)] }];
			if (event.kind === 'link_down')
				return [
					{ kind: 'set_timer', name: 'lease', at: now + 30 },
					{ kind: 'clear_timer', name: 'local' },
				];
			return [];
		});
		await shell.start([], false);
		shell.tell({ kind: 'readiness', readiness: { apps: [], availability: null, draining: false } });
		shell.tell({ kind: 'link_down', node: 'b' });
		// Both timers come due while the sync is under way, behind an event that takes them back.
		await new Promise((resolve) => setTimeout(resolve, 20));
		await log.settle();
		assert.deepEqual(kinds(seen), ['started', 'readiness', 'link_down']);
		while (seen.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
		const fired = seen.at(-1);
		assert.ok(fired?.kind === 'timer' && fired.name === 'lease');
	});

	it('a fault of the own file comes back as a check that failed', async () => {
		const { shell, seen } = made((event) =>
			event.kind === 'started' ? [{ kind: 'check', rollout: 'r', service: 'http_workers', app: null }] : [],
		);
		await shell.start([], false);
		await turns();
		const checked = seen.at(-1);
		assert.ok(checked?.kind === 'checked');
		assert.equal(checked.result.fault, 'the fault');
	});
});
