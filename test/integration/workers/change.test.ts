import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Logger } from '../../../src/log.js';
import type { WorkerApp } from '../../../src/workers/types.js';
import { startLoad } from '../../support/workers/load.js';
import { freePorts } from '../../support/system/ports.js';
import { lives, programs, python, Supervised, until } from '../../support/workers/supervised.js';

const unwell = `throw new Error('no database');`;

/** Warnings and errors that the supervisor wrote, as `level event app`. */
function logInto(lines: string[]): Logger {
	const write = (level: string) => (line: object) => {
		const { event, app } = line as { event: string; app?: string };
		lines.push(`${level} ${event} ${app ?? ''}`);
	};
	const silent = () => undefined;
	return { warn: write('warn'), error: write('error'), info: silent, debug: silent } as unknown as Logger;
}

describe('a change of http_workers is rolled as carefully as a release', () => {
	const lines: string[] = [];
	let node: Supervised;
	before(async () => {
		node = await Supervised.start(programs.good, {}, { logger: logInto(lines) });
	});
	after(() => node.end());

	/** The node's one app under another name; its port is the same. */
	const named = (name: string, settings: Partial<WorkerApp> = {}): WorkerApp => ({ ...node.app, name, ...settings });
	const roll = (apps: readonly WorkerApp[], app: string | null = null) =>
		node.supervisor.replace({ only: app === null ? null : [app], apps, deadlineMs: 60_000 });
	const names = () => [...new Set(node.supervisor.rows().map(({ app }) => app))];

	/** Nobody who uses the node may notice what happens. */
	async function unnoticed<T>(work: () => Promise<T>): Promise<T> {
		const load = startLoad({ urls: node.url, ratePerSecond: 100 });
		await load.answered(50);
		const result = await work();
		await load.answered(50);
		const { lost, failures } = await load.stop();
		assert.deepEqual({ lost, failures }, { lost: 0, failures: [] });
		return result;
	}

	test('an app that got another name serves on until the new one is proven, and then leaves', async () => {
		const old = node.pids;
		const result = await unnoticed(() => roll([named('site')]));
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.deepEqual(names(), ['site']);
		assert.ok(!old.some(lives));
	});

	test('it stays when the one that was to take its place is refused, and the refusal says so', async () => {
		const old = node.pids;
		node.release(unwell);
		const apps = [named('shop')];
		const lacking = new Set<number>();
		const look = () => {
			for (const { wanted, healthy } of node.supervisor.readiness()) lacking.add(wanted - healthy);
		};
		node.supervisor.on('readiness', look);
		const result = await unnoticed(() => roll(apps));
		node.supervisor.off('readiness', look);
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', /no database/);
		assert.match(result.reason ?? '', /2 workers of site, which http_workers no longer has, serve on/);
		assert.deepEqual(node.pids.sort(), old.sort());
		assert.deepEqual(
			[...lacking].filter((count) => count > 0),
			[],
			'the node was as ready as before all along',
		);
		assert.deepEqual(node.supervisor.changes(apps), { added: ['shop'], removed: ['site'] });
	});

	test('under another name, too, its port has to open: a metrics port that is well is not enough', async () => {
		const old = node.pids;
		node.release(`require('http').createServer((q, r) => r.end()).listen(${(await freePorts(1))[0]});`);
		const health = { ...node.app.health, deadlineMs: 3_000 };
		const result = await unnoticed(() => roll([named('store', { health })]));
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', /store: .*does not listen on port \d+, as the workers before it do/);
		assert.deepEqual(node.pids.sort(), old.sort());
		node.release(unwell);
	});

	test('at a start with a changed file, too, what is refused leaves the old workers serving', async () => {
		const old = node.pids;
		await unnoticed(() => node.restartWith([named('shop')]));
		assert.deepEqual(node.pids.sort(), old.sort());
		const [shop, site] = node.supervisor.readiness();
		assert.match(shop?.degraded ?? '', /refused: .*no database/s);
		assert.deepEqual([shop?.wanted, site?.wanted, site?.healthy], [0, 2, 2]);
		assert.ok(lines.includes('warn unconfigured_app_kept site'), lines.join());
	});

	test('a mended release takes the place of what was kept', async () => {
		const old = node.pids;
		node.release(programs.good);
		const result = await unnoticed(() => roll([named('shop')]));
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.equal(result.after.length, 2);
		assert.deepEqual(names(), ['shop']);
		assert.ok(!old.some(lives));
	});

	test('at a start with a changed file the old workers leave once the new ones are proven', async () => {
		const old = node.pids;
		await unnoticed(async () => {
			await node.restartWith([named('web')]);
			await until(() => !old.some(lives), 20_000, 'the old workers to be gone');
		});
		assert.deepEqual(names(), ['web']);
		assert.ok(lines.includes('warn unconfigured_app_drained shop'), lines.join());
	});

	test('one app that the file no longer has is taken away by its name, and nothing else is touched', async () => {
		assert.equal((await roll([named('web'), named('extra', { env: { PORT: '0' } })], 'extra')).outcome, 'back');
		const web = node.supervisor.identities('web').map(({ pid }) => pid);
		assert.equal(node.supervisor.identities('extra').length, 2);
		const result = await roll([named('web')], 'extra');
		assert.equal(result.outcome, 'back', result.reason ?? '');
		assert.deepEqual([result.wanted, result.after], [0, []]);
		assert.deepEqual(
			node.supervisor.identities().map(({ pid }) => pid),
			web,
		);
	});
});

test('a program that shares its port with no one is refused beside the one that it was, whose name the refusal gives', async () => {
	// The old program would answer the probes in place of the new one, which could not even bind.
	const settings = { interpreter: 'python3', instances: 1 };
	const node = await Supervised.start(python('one'), settings);
	try {
		const old = node.pids;
		const renamed = { ...node.app, name: 'site' };
		const result = await node.supervisor.replace({ only: null, apps: [renamed], deadlineMs: 60_000 });
		assert.equal(result.outcome, 'refused', result.reason ?? '');
		assert.match(result.reason ?? '', /port \d+ is held by web-1.*app=web/);
		assert.deepEqual(node.pids, old);
		await node.restartWith([renamed]);
		assert.deepEqual(node.pids, old);
		// Taken away by hand, it makes room, and what was refused starts.
		const away = await node.supervisor.replace({ only: ['web'], apps: [renamed], deadlineMs: 60_000 });
		assert.equal(away.outcome, 'back', away.reason ?? '');
		await until(() => node.supervisor.identities('site').some(({ joined }) => joined), 20_000, 'the new one to serve');
	} finally {
		await node.end();
	}
});
