import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { changesBetween, createProgress, screenLines } from '../../src/cli/output/progress.js';
import { anyText, planText, rolloutText } from '../../src/cli/output/render.js';
import type { Terminal } from '../../src/cli/output/terminal.js';
import { completedView, nodeView, rolloutView } from '../support/views.js';

const now = 1_700_000_001_700;

function screenTerminal(columns: number): { terminal: Terminal; written: () => string } {
	const chunks: string[] = [];
	const err = new Writable({
		write(chunk, _encoding, done) {
			chunks.push(String(chunk));
			done();
		},
	});
	const terminal = { out: err, err, json: false, outIsTerminal: true, screen: () => ({ columns, rows: 24 }) };
	return { terminal, written: () => chunks.join('') };
}

const rolling = () =>
	rolloutView({
		nodes: [
			nodeView('beta', 'back'),
			nodeView('gamma', 'restarting', { started_at: now - 1200 }),
			nodeView('alpha', 'pending'),
		],
		waiting_for: 'gamma: 1 of 2 workers healthy, until 12:00:31',
	});

test('only what is new becomes a line, whatever was said before', () => {
	assert.deepEqual(changesBetween(rolling(), rolling(), now), []);
	const [change, ...rest] = changesBetween(rolling(), { ...rolling(), waiting_for: null }, now);
	assert.deepEqual([change?.node, change?.state, rest.length], [null, 'running', 0]);
	const nodes = changesBetween(null, rolling(), now).map(({ node, node_state }) => [node, node_state]);
	assert.deepEqual(nodes, [
		['beta', 'back'],
		['gamma', 'restarting'],
		[null, null],
	]);
});

test('a screen has one line a node in the order of the rollout: phase, time, what it waits for', () => {
	assert.deepEqual(screenLines(rolling(), 24, now), [
		'running: http_workers, 1 of 3 nodes back, 1.7 s',
		'NODE   PHASE        TIME  WAITS FOR',
		'beta   back        2.1 s  -',
		'gamma  restarting  1.2 s  1 of 2 workers healthy, until 12:00:31',
		'alpha  pending         -  -',
	]);
});

test('more nodes than the screen has lines are summed up', () => {
	const names = Array.from({ length: 50 }, (_, index) => `node-${index}`);
	const nodes = names.map((name, index) => nodeView(name, index === 7 ? 'restarting' : 'pending'));
	const lines = screenLines(rolloutView({ order: names, nodes }), 10, now);
	assert.equal(lines.length, 4);
	assert.match(lines[2] ?? '', /^node-7 +restarting/);
	assert.equal(lines[3], 'and 49 nodes back or pending');
});

test('a terminal is redrawn in place: as many lines up as were drawn, none longer than the screen is wide', () => {
	const { terminal, written } = screenTerminal(30);
	const progress = createProgress(terminal);
	progress.show(rolling());
	progress.show(completedView());
	progress.end(true);
	const screens = written().split('\x1b[J');
	assert.equal(screens.length, 4);
	assert.ok(screens[1]?.endsWith('\n\x1b[5A'));
	const lines = written()
		.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d*[AJ]`, 'g'), '')
		.split('\n');
	assert.ok(lines.every((line) => [...line].length < 30));
});

test('a rollout as text starts with what became of it and shows the processes before and after', () => {
	const text = rolloutText(completedView(), now);
	assert.match(text, /^completed: http_workers, 3 of 3 nodes back, 7\.0 s\n\nNODE/);
	assert.match(text, /beta +back +2\.1 s +811 -> 912/);
});

test('a plan shows a refusal and what is down before its steps', () => {
	const steps = [{ nodes: ['beta'], estimate_ms: 1200 }];
	const plan = {
		order: ['beta'],
		max_unavailable: 1,
		down: ['gamma'],
		steps,
		estimate_ms: 1200,
		refused: 'gamma is down',
	};
	assert.deepEqual(planText(plan).split('\n'), [
		'would be refused: gamma is down',
		'down now: gamma',
		'at most 1 node out at a time, about 1.2 s in all',
		'  1. beta  about 1.2 s',
	]);
});

test('any other answer is readable: a message, a record, a list of records, else JSON', () => {
	assert.equal(anyText({ message: 'done' }), 'done');
	assert.equal(anyText({ id: 'primary', status: 'x' }), 'id: primary\nstatus: x');
	assert.equal(anyText([{ username: 'bob', active: true }]), 'username  active\nbob       yes');
	assert.equal(anyText({ cpu: { cores: 2 } }), '{\n  "cpu": {\n    "cores": 2\n  }\n}');
	assert.equal(anyText([]), '[]');
});
