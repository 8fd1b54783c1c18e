import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostEnvironment } from '../../../src/workers/host/environment.js';
import { readHostSettings } from '../../../src/workers/host/host-settings.js';
import { hostCommand } from '../../../src/workers/host/host-starter.js';
import { lastErrorLines, pruneLogs, turnOverLogs } from '../../../src/workers/host/log-files.js';
import { missingEnd, StderrTail } from '../../../src/workers/host/stderr-tail.js';
import { newLifecycle, stepLifecycle } from '../../../src/workers/pool/lifecycle.js';
import { appOf, numberOf } from '../../../src/workers/pool/worker-id.js';
import { SupervisorRecords } from '../../../src/workers/pool/worker-records.js';

test('a worker is given up at one crash more than the intensity within the period, and not before', () => {
	const limits = { intensity: 3, periodMs: 1_000 };
	const verdicts = (times: number[]): boolean[] => {
		let state = newLifecycle;
		return times.map((at) => {
			const forked = stepLifecycle(state, { event: 'forked' }).state;
			const crash = stepLifecycle(forked, {
				event: 'exited',
				identity: null,
				detail: '',
				at,
				limits,
			});
			state = crash.state;
			assert.ok(state.crashes.length <= limits.intensity + 1);
			return crash.exit?.kind === 'looped';
		});
	};
	assert.deepEqual(verdicts([0, 10, 20, 30]), [false, false, false, true]);
	assert.deepEqual(verdicts([0, 400, 800, 1_200, 1_600, 2_000]), [false, false, false, false, false, false]);
	assert.deepEqual(verdicts([0, 400, 800, 999]), [false, false, false, true]);
});

test('nothing of an environment reaches a worker host but what every process needs', () => {
	const from = {
		PATH: '/bin',
		HOME: '/h',
		AWS_SECRET: 's',
		ROLLCALL_PASSWORD: 'p',
		ROLLCALL_TOKEN: 't',
		ROLLCALL_WORKER_DIR: '/w',
	};
	const names = Object.keys(hostEnvironment('/home', from));
	assert.ok(names.includes('PATH') && !names.some((name) => name.includes('SECRET') || name.startsWith('ROLLCALL_')));
});

test('a host reads out of its command line what the control plane wrote there, and takes nothing else', () => {
	for (const keep of [0, 5]) {
		const settings = {
			workerDir: '/var/w',
			logs: { maxSizeBytes: 1_024, keep },
		};
		assert.deepEqual(readHostSettings(hostCommand(settings).at(-1) ?? ''), settings);
	}
	const wrong = [
		'',
		'{',
		'null',
		'[]',
		'{}',
		'{"workerDir":"/w"}',
		'{"workerDir":"w","logs":{"maxSizeBytes":1,"keep":1}}',
	];
	for (const size of ['0', '-1', '1.5', '"1"', '1e30'])
		wrong.push(`{"workerDir":"/w","logs":{"maxSizeBytes":${size},"keep":1}}`);
	for (const text of wrong) assert.throws(() => readHostSettings(text), { code: 'usage' }, text);
});

test('what a dying worker said last is added to its log once, without what the file has already', () => {
	assert.equal(missingEnd('a\nb\n', 'b\nc\n'), 'c\n');
	assert.equal(missingEnd('a\nb\n', 'a\nb\n'), '');
	assert.equal(missingEnd('', 'x\n'), 'x\n');
	const folder = mkdtempSync(join(tmpdir(), 'rl-'));
	try {
		const file = join(folder, 'web-1-error.log');
		const words = new StderrTail();
		writeFileSync(file, 'one\n');
		words.hear('web-1', 'one\n');
		words.hear('web-1', 'two\n');
		words.write('web-1', file);
		words.write('web-1', file);
		assert.equal(readFileSync(file, 'utf8'), 'one\ntwo\n');
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('log files stay bounded: turned over at their size, old turns and ended workers beyond the limit removed', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rl-'));
	try {
		const file = join(folder, 'web-9-error.log');
		const host = join(folder, 'host.log');
		writeFileSync(host, 'x'.repeat(200));
		for (let turn = 1; turn <= 5; turn += 1) {
			writeFileSync(file, `${turn}`.repeat(101));
			assert.equal(turnOverLogs(folder, host, { maxSizeBytes: 100, keep: 2 }), true);
		}
		writeFileSync(file, 'small\n    at x (node:internal/y)\nlast\n');
		assert.equal(turnOverLogs(folder, host, { maxSizeBytes: 100, keep: 2 }), false);
		assert.deepEqual(readdirSync(folder).sort(), [
			'host.log',
			'host.log.1',
			'web-9-error.log',
			'web-9-error.log.1',
			'web-9-error.log.2',
		]);
		assert.equal(readFileSync(`${file}.1`, 'utf8')[0], '5');
		assert.deepEqual(await lastErrorLines({ path: folder, logs: folder }, 'web-9', 5), ['small', 'last']);
		for (let number = 1; number <= 4; number += 1) {
			writeFileSync(join(folder, `web-${number}-out.log`), 'x');
			utimesSync(join(folder, `web-${number}-out.log`), number, number);
		}
		pruneLogs(folder, new Set(['web-9']), 2);
		const left = readdirSync(folder).filter((name) => name.endsWith('-out.log'));
		assert.deepEqual(left.sort(), ['web-3-out.log', 'web-4-out.log']);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('the record survives its writer, and a damaged one is told of and does not stop the start', async () => {
	const folder = mkdtempSync(join(tmpdir(), 'rl-'));
	try {
		const file = join(folder, 'workers.json');
		const records = new SupervisorRecords(file);
		assert.equal(records.damage, null);
		records.memory.lastNumber['web'] = 7;
		await Promise.all([records.save(), records.save()]);
		assert.equal(new SupervisorRecords(file).memory.lastNumber['web'], 7);
		records.memory.workers = [
			{
				id: 'web-7',
				pid: 1,
				started: 1,
				app: 'web',
				user: null,
				release: '/x',
				port: null,
			},
		];
		await records.save();
		const next = new SupervisorRecords(file, 'the next boot');
		assert.deepEqual(
			[next.memory.workers, next.memory.lastNumber['web']],
			[[], 7],
			'a process of another boot is nobody',
		);
		assert.equal(new SupervisorRecords(file).memory.workers.length, 1);
		writeFileSync(file, '{"cut off');
		assert.match(new SupervisorRecords(file).damage ?? '', /no JSON/);
	} finally {
		rmSync(folder, { recursive: true });
	}
});

test('a worker id names its app and its number, whatever the app is called', () => {
	assert.deepEqual([appOf('web-12'), numberOf('web-12')], ['web', 12]);
	assert.deepEqual([appOf('a-b-2-31'), numberOf('a-b-2-31')], ['a-b-2', 31]);
});
