import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { mock, test } from 'node:test';
import { changesBetween, createProgress, screenLines } from '../../../src/cli/output/progress.js';
import { anyText, fleetText, historyText, planText, rolloutText, workersText } from '../../../src/cli/output/render.js';
import { plainPage, type Terminal } from '../../../src/cli/output/terminal.js';
import { forPeople } from '../../../src/cli/output/format.js';
import { completedView, nodeView, rolloutView } from '../../support/fleet/views.js';

const now = 1_700_000_001_700;

function screenTerminal(columns: number): { terminal: Terminal; written: () => string } {
	const chunks: string[] = [];
	const err = new Writable({
		write(chunk, _encoding, done) {
			chunks.push(String(chunk));
			done();
		},
	});
	const terminal = {
		out: err,
		err,
		json: false,
		outIsTerminal: true,
		page: plainPage,
		screen: () => ({ columns, rows: 24 }),
	};
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
	const ended = changesBetween(null, rolloutView({ nodes: [nodeView('beta', 'back', { back_at: now - 9 })] }), now);
	assert.equal(ended[0]?.at, now - 9, 'a step that had ended before is told with its own time');
});

test('a screen has one line a node in the order of the rollout: phase, time, what it waits for', () => {
	assert.deepEqual(screenLines(rolling(), 24, now), [
		'running: http_workers, 1 of 3 nodes back, 2.6 s',
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

test('tables fit any width: columns are shortened or left off, and no row is longer', () => {
	const worker = {
		app: 'storefront',
		id: 'storefront-12',
		pid: 1_234_567,
		state: 'draining' as const,
		started_at: now - 90_000,
		restarts: 3,
		healthy: true,
		memory: 50_000_000,
		cpu: 1.5,
		release: '/srv/storefront/releases/2026-11-30T00-30-00/server.js',
		revision: '3f786850e387550fdab836ed7e6dc881de23001b',
		pinned: null,
		requests: null,
	};
	const node = {
		name: 'storefront-host-1',
		zone: null,
		link: 'up' as const,
		boot: 4,
		ready: true,
		availability: null,
		version: '1.0.0',
		configuration: null,
		rtt_ms: 1.2,
		reason: null,
		clock_offset_ms: null,
		authorities: null,
		last_seen: now - 1000,
	};
	const halted = rolloutView({
		state: 'halted',
		reason: 'beta refused: web-3 threw at boot, nothing more is restarted',
	});
	for (const columns of [40, 60, 80, 100]) {
		const page = { columns, color: false };
		const texts = [
			workersText([worker], now, page),
			fleetText([node], node.name, now, page),
			historyText([halted], now, page),
			rolloutText(completedView(), now, page).split('\n\n')[1] ?? '',
		];
		for (const line of texts.join('\n').split('\n')) assert.ok([...line].length <= columns, `${columns}: ${line}`);
	}
	const page = { columns: 80, color: false };
	assert.match(workersText([worker], now, page), /storefront-12 .*draining .*…\S*server\.js$/);
	assert.match(historyText([halted], now, page), /\n6e0f1f0c {2}/);
	assert.ok(workersText([worker], now).includes(worker.release), 'without a width all of it');
});

test('times of the daemon are said in the clock of the terminal, and operations as commands', () => {
	const at = Date.parse('2026-11-30T09:47:19Z');
	const local = new Date(at).toTimeString().slice(0, 8);
	assert.equal(forPeople('beta: draining, until 09:47:19Z', at), `beta: draining, until ${local}`);
	assert.match(forPeople('since 2026-11-30T09:47:19.123Z', at), new RegExp(`^since 2026-11-\\d\\d ${local}$`));
	assert.equal(forPeople('wait for it, or abort_rollout it'), 'wait for it, or abort it (rollcall rollout abort)');
	assert.equal(
		forPeople('beta, which was back, to be ready again (availability is Unavailable)'),
		'beta, which was back, to be put back into its load balancers (rollcall node ready beta)',
	);
	assert.equal(forPeople('before ready_node puts it back'), 'before rollcall node ready puts it back');
	assert.equal(forPeople('resume_rollout or abort_rollout'), 'rollcall rollout resume or rollcall rollout abort');
});

test('without a screen a node has a line as it begins and as it ends; what it waits for is told once nothing else was for long', () => {
	mock.timers.enable({ apis: ['setTimeout'] });
	try {
		const { terminal, written } = screenTerminal(80);
		const progress = createProgress({ ...terminal, screen: () => null });
		const nodes = [nodeView('beta', 'restarting'), nodeView('gamma', 'pending')];
		const waits = (text: string) => rolloutView({ nodes, waiting_for: `beta: ${text}` });
		const lines = () =>
			written()
				.trimEnd()
				.split('\n')
				.map((line) => line.slice('12:00:31 '.length));
		for (const text of ['0 of 2 healthy', '1 of 2 healthy', '2 draining']) progress.show(waits(text));
		assert.deepEqual(lines(), ['beta restarting', 'rollout running']);
		mock.timers.tick(60_000);
		assert.deepEqual(lines().slice(2), ['waiting for beta: 2 draining']);
		progress.show(rolloutView({ state: 'paused', nodes, waiting_for: 'an operator: resume_rollout or abort_rollout' }));
		assert.match(lines().at(-1) ?? '', /^rollout paused, waiting for an operator: rollcall rollout resume or /);
		progress.end(false);
		mock.timers.tick(60_000);
		assert.equal(lines().length, 4);
	} finally {
		mock.timers.reset();
	}
});

test('a node that was refused shows how long that took', () => {
	const refused = nodeView('beta', 'refused', { ended_at: 1_700_000_001_700, reason: 'web-3 threw' });
	assert.match(rolloutText(rolloutView({ state: 'halted', nodes: [refused] }), now), /beta +refused +1\.2 s/);
});

test('a plan says when its times are a guess', () => {
	const steps = [{ nodes: ['beta'], estimate_ms: 10_000 }];
	const plan = { order: ['beta'], max_unavailable: 1, down: [], steps, estimate_ms: 10_000, refused: null };
	assert.match(planText({ ...plan, guess: true }), /a guess: nothing was rolled yet here/);
	assert.doesNotMatch(planText({ ...plan, guess: false }), /guess/);
});
