/**
 * A release that answers 5xx more often than the old one beside it is refused without loss; one that is as good passes, and so
 * does what cannot be compared. The apps of the table run on one worker host, side by side, under load.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ReplacementResult, TrafficRule, WorkerApp, WorkerRow } from '../../../src/workers/types.js';
import { freePorts } from '../../support/system/ports.js';
import { type LoadReport, startLoad } from '../../support/workers/load.js';
import { createFor, plainApp, Supervised } from '../../support/workers/supervised.js';

/** Fails every so-manieth request of users; the question of its health is answered well. */
const failing = (each: number): string => `
let count = 0;
require('http').createServer((request, response) => {
	if (request.url !== '/' && ++count % ${each} === 0) response.statusCode = 500;
	response.end('answer');
}).listen(+process.env.PORT);`;
/** Answers every so-manieth request of users late. */
const late = (each: number): string => `
let count = 0;
require('http').createServer((request, response) => {
	const isLate = request.url !== '/' && ++count % ${each} === 0;
	setTimeout(() => response.end('answer'), isLate ? 400 : 0);
}).listen(+process.env.PORT);`;
const never = 1e9;
const rule: TrafficRule = { windowMs: 60_000, requests: 20, errors: 0.02 };

interface Row {
	what: string;
	old: string;
	new: string;
	rule: TrafficRule;
	/** Requests a second. */
	rate: number;
	/** The old workers were started without the rule. */
	isLate?: boolean;
	outcome: ReplacementResult['outcome'];
	/** It is back without having been judged. */
	isUnjudged?: boolean;
	/** Of one that passes, the last that is said while both serve; of one that is refused, why. */
	says: RegExp;
}

const figure = String.raw`\d+ of \d+ \(\d+\.\d %\)`;
const shares = String.raw`the new release answered 5xx to \d+ of \d+ requests \(\d+\.\d %\), the old one to \d+ of \d+ \(\d+\.\d %\)`;
const rows: Row[] = [
	{
		what: 'one that fails a tenth of its requests is refused long before the window ends',
		old: failing(never),
		new: failing(10),
		rule,
		rate: 80,
		outcome: 'refused',
		says: new RegExp(`${shares}$`),
	},
	{
		what: 'one that answers a fifth of its requests late is refused, though none fails',
		old: late(never),
		new: late(5),
		rule: { ...rule, slowMs: 250 },
		rate: 80,
		outcome: 'refused',
		says: new RegExp(`${shares}; it took longer than 250ms to answer ${figure}, the old one ${figure}$`),
	},
	{
		what: 'one that fails a twentieth, as the old one does, passes',
		old: failing(20),
		new: failing(20),
		rule: { ...rule, windowMs: 5_000 },
		rate: 80,
		outcome: 'back',
		says: new RegExp(`${shares}$`),
	},
	{
		what: 'one that nobody asks anything passes, and it is said that nothing was seen',
		old: failing(never),
		new: failing(1),
		rule: { ...rule, windowMs: 2_500 },
		rate: 0,
		outcome: 'back',
		isUnjudged: true,
		says: /the new release answered 5xx to 0 of 0 requests, the old one to 0 of 0; fewer than 20 are not judged$/,
	},
	{
		what: 'one beside workers that do not count passes, and it is said that they do not',
		old: failing(never),
		new: failing(10),
		rule: { ...rule, windowMs: 2_500 },
		rate: 20,
		isLate: true,
		outcome: 'back',
		isUnjudged: true,
		says: /answers are not compared, since the old workers were started before traffic.window was set/,
	},
];

interface Trial {
	result: ReplacementResult;
	said: string[];
	load: LoadReport;
	/** While both served. */
	during: WorkerRow[];
	after: WorkerRow[];
	before: number[];
}

const folder = mkdtempSync(join(tmpdir(), 'rl-'));
const trials = new Map<Row, Trial>();

async function tryAll(): Promise<void> {
	const ports = await freePorts(rows.length);
	const apps = rows.map((row, index): WorkerApp => {
		const script = join(folder, `app-${index}.js`);
		release(script, row.old, 'old');
		return {
			...plainApp,
			name: `app-${index}`,
			script,
			cwd: folder,
			instances: 1,
			env: { PORT: String(ports[index]) },
			traffic: row.rule,
		};
	});
	const began = apps.map((app, index) => {
		const { traffic: _, ...plain } = app;
		return rows[index]?.isLate ? plain : app;
	});
	const supervisor = createFor(began[0] as WorkerApp, folder, began);
	try {
		await supervisor.start();
		const before = supervisor.identities();
		const loads = rows.map((row, index) =>
			startLoad({ urls: `http://127.0.0.1:${ports[index]}/users`, ratePerSecond: row.rate, keepAliveShare: 0.2 }),
		);
		await Promise.all(loads.map((load, index) => (rows[index]?.rate === 0 ? null : load.answered(20))));
		for (const [index, { script }] of apps.entries()) release(script, rows[index]?.new ?? '', 'new');
		await Promise.all(
			rows.map(async (row, index) => {
				const app = apps[index] as WorkerApp;
				const ownRows = () => supervisor.rows().filter((one) => one.app === app.name);
				const said: string[] = [];
				let during: WorkerRow[] = [];
				const onProgress = (text: string): void => {
					said.push(text);
					if (text.includes('side by side')) during = ownRows();
				};
				const result = await supervisor.replace({ only: [app.name], apps: [app], deadlineMs: 90_000, onProgress });
				const load = await (loads[index] as (typeof loads)[0]).stop();
				const own = before.filter(({ id }) => id.startsWith(`${app.name}-`)).map(({ pid }) => pid);
				trials.set(row, { result, said, load, during, after: ownRows(), before: own });
			}),
		);
	} finally {
		await supervisor.shutdown();
	}
}

function release(script: string, program: string, name: string): void {
	const file = script.replace(/\.js$/, `-${name}.js`);
	writeFileSync(file, program);
	if (name === 'new') unlinkSync(script);
	symlinkSync(file, script);
}

before(tryAll);
after(() => rmSync(folder, { recursive: true, force: true }));

for (const row of rows) {
	test(row.what, () => {
		const { result, said, load, during, after: left, before: old } = trials.get(row) as Trial;
		assert.equal(result.outcome, row.outcome, result.reason ?? '');
		const lastSaid = said.filter((text) => text.includes('side by side')).at(-1);
		assert.match((row.outcome === 'back' ? lastSaid : result.reason) ?? '', row.says);
		if (row.isUnjudged) assert.match(result.reason ?? '', row.says, 'the result says that nothing was judged');
		else if (row.outcome === 'back') assert.equal(result.reason, null);
		// What the app itself failed is no loss of the replacement.
		assert.deepEqual(
			load.failures.filter((text) => !text.endsWith('status 500')),
			[],
		);
		const pids = left.map(({ pid }) => pid);
		if (row.outcome === 'refused') assert.deepEqual(pids, old);
		else
			assert.ok(
				pids.every((pid) => pid !== null && !old.includes(pid)),
				pids.join(),
			);
		assert.equal(left.length, 1);
		assert.equal(during.length, 2);
		const counted = during.map(({ requests }) => requests !== null);
		assert.deepEqual(counted, row.isLate ? [false, true] : [true, true]);
	});
}

test('a control plane killed while both serve compares anew, and refuses what it would have refused', async () => {
	const node = await Supervised.start(failing(never), { instances: 1, traffic: { ...rule, windowMs: 20_000 } });
	try {
		const before = node.pids;
		const load = startLoad({ urls: `${node.url}users`, ratePerSecond: 80, keepAliveShare: 0.2 });
		await load.answered(20);
		node.release(failing(4));
		await node.replaceAndDie(/side by side/);
		assert.deepEqual(node.pids, before);
		const report = await load.stop();
		assert.deepEqual(
			report.failures.filter((text) => !text.endsWith('status 500')),
			[],
		);
	} finally {
		await node.end();
	}
});
