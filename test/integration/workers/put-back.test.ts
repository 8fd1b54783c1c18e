/** An app that was put back on a release, or has refused another, stays there, whatever dies, until the next step that covers it; what cannot be put back is refused. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { PinnedBy, StartsFrom, WorkerApp } from '../../../src/workers/types.js';
import { kill, python, Supervised, until } from '../../support/workers/supervised.js';

const health = { path: '/', timeoutMs: 2_000, deadlineMs: 10_000, soakMs: 50, intervalMs: 200, failures: 2 };

interface Kind {
	/** Says where it runs, by its file and by its working folder. */
	program: string;
	broken: string;
	settings: Partial<WorkerApp>;
}

const nodeApp: Kind = {
	program: `let code = 200; process.on('SIGUSR2', () => { code = 500; });
require('http').createServer((q, r) => r.writeHead(code).end(__filename + ' ' + process.cwd())).listen(+process.env.PORT)`,
	broken: 'setTimeout(() => { throw new Error("bad release"); }, 20)',
	settings: { health },
};
const otherProgram: Kind = {
	program: python('', '', `os.path.realpath(__file__) + ' ' + os.getcwd()`),
	broken: 'raise SystemExit("bad release")',
	settings: { interpreter: 'python3', health, crashLoop: { intensity: 1, periodMs: 60_000 } },
};

const folderOf = ({ folder }: Supervised, revision: string): string => join(folder, 'releases', revision);
const scriptOf = (node: Supervised, revision: string): string => join(folderOf(node, revision), 'server.js');

/** Points `current` at a folder of its own with this revision. */
function deploy(node: Supervised, revision: string, program: string): void {
	mkdirSync(folderOf(node, revision), { recursive: true });
	writeFileSync(scriptOf(node, revision), program);
	writeFileSync(join(folderOf(node, revision), 'REVISION'), revision);
	const link = join(node.folder, 'current');
	rmSync(link, { force: true });
	symlinkSync(folderOf(node, revision), link);
}

/** A node that has proven these releases, and whose file says the last. */
async function nodeWith({ program, settings }: Kind, ...revisions: string[]): Promise<Supervised> {
	const node = await Supervised.start(program, { ...settings, instances: 1 });
	const current = join(node.folder, 'current');
	node.app = { ...node.app, script: join(current, 'server.js'), cwd: current };
	for (const revision of revisions) {
		deploy(node, revision, program);
		const { outcome, reason } = await node.step(`to-${revision}`, 'configured');
		assert.equal(outcome, 'back', reason ?? '');
	}
	return node;
}

const undone = { rollout: 'undo', reason: 'it undoes rollout to-three' };

const back = (node: Supervised, revision: string): StartsFrom => ({
	releases: { web: { path: scriptOf(node, revision), revision } },
	...undone,
});

/** Every worker runs this release, in its folder, and says so; and whether it stays there. */
async function runs(node: Supervised, revision: string, by: PinnedBy | null, when: string): Promise<void> {
	await node.full();
	const isForgotten = (): boolean => node.supervisor.rows().length === node.app.instances;
	await until(isForgotten, 10_000, 'what has ended to be forgotten');
	const rows = node.supervisor.rows().map(({ release, pinned: found }) => ({ release, found }));
	assert.deepEqual(rows, [{ release: scriptOf(node, revision), found: by }], when);
	assert.deepEqual(node.supervisor.pins(), by ? { web: by } : {}, when);
	const answer = await fetch(node.url, { headers: { connection: 'close' } });
	assert.equal(await answer.text(), `${scriptOf(node, revision)} ${folderOf(node, revision)}`, when);
}

const provenOn = ({ folder }: Supervised): string[] => {
	const { proven } = JSON.parse(readFileSync(join(folder, 's', 'releases.json'), 'utf8')) as {
		proven: { web: { revision: string }[] };
	};
	return proven.web.map(({ revision }) => revision);
};

test('an app that was put back stays there over a crash, a new supervisor and the loss of power, until the next step', async () => {
	const node = await nodeWith(nodeApp, 'one', 'two', 'three');
	try {
		deploy(node, 'bad', nodeApp.broken);
		assert.equal((await node.step('to-bad', 'configured')).outcome, 'refused');
		const refused = { rollout: 'to-bad', reason: 'it refused what that rollout brought' };
		await runs(node, 'three', refused, 'after a step that was refused');
		await node.losePower();
		await runs(node, 'three', refused, 'and after the loss of power since');

		const { outcome, reason } = await node.step('undo', back(node, 'two'));
		assert.equal(outcome, 'back', reason ?? '');
		await runs(node, 'two', undone, 'put back');

		const { pids } = node;
		kill(pids[0], 'SIGKILL');
		await node.onlyNew(pids);
		await runs(node, 'two', undone, 'after a crash');
		await node.restartSupervisor();
		await runs(node, 'two', undone, 'with a new supervisor');
		assert.deepEqual(provenOn(node), ['two', 'three', 'one'], 'the last three, newest first');
		await node.losePower();
		await runs(node, 'two', undone, 'after the loss of power');
		assert.equal((await node.step('restart', 'kept')).outcome, 'back');
		await runs(node, 'two', undone, 'after a restart of the instance went forward');

		deploy(node, 'four', nodeApp.program);
		assert.equal((await node.step('to-four', 'configured')).outcome, 'back');
		await runs(node, 'four', null, 'after the next step');
		await node.losePower();
		await runs(node, 'four', null, 'and after the loss of power since');
		assert.deepEqual(provenOn(node), ['four', 'two', 'three']);
	} finally {
		await node.end();
	}
});

test('a program that is not Node, replaced in place, is put back and stays there, too', async () => {
	const node = await nodeWith(otherProgram, 'one', 'two');
	try {
		deploy(node, 'bad', otherProgram.broken);
		assert.equal((await node.step('undo', back(node, 'one'))).outcome, 'back');
		await runs(node, 'one', undone, 'put back');
		assert.equal((await node.step('to-bad', 'configured')).outcome, 'refused');
		await runs(node, 'one', undone, 'after a step that was refused');
		await node.losePower();
		await runs(node, 'one', undone, 'after the loss of power');
	} finally {
		await node.end();
	}
});

test('a supervisor or a host that dies while an app is put back, or that ends, goes forward to the same release', async () => {
	const node = await nodeWith(nodeApp, 'one', 'two');
	try {
		deploy(node, 'bad', nodeApp.broken);
		const before = node.supervisor.identities();
		await node.replaceAndDie(/worker/, back(node, 'one'));
		await node.onlyNew(before.map(({ pid }) => pid));
		await runs(node, 'one', undone, 'before the step goes forward');
		assert.equal((await node.step('undo', back(node, 'one'), before)).outcome, 'back');
		await runs(node, 'one', undone, 'went forward');

		deploy(node, 'three', nodeApp.program);
		const pinned = node.supervisor.identities();
		await node.replaceAndDie(/worker/);
		await node.losePower();
		assert.equal((await node.step('to-three', 'configured', pinned)).outcome, 'back');
		await runs(node, 'three', null, 'the next step went forward');

		kill(node.hostPid, 'SIGKILL');
		const again = await node.step('undo', back(node, 'one'));
		assert.equal(again.outcome, 'back', again.reason ?? '');
		await runs(node, 'one', undone, 'though the host died as the step began');
	} finally {
		await node.end();
	}
});

test('a link that was moved on brings nothing: until a step asks, workers start what the set before ran, as long as it is there', async () => {
	const node = await nodeWith(nodeApp, 'one', 'two');
	const killed = async (...gone: number[]): Promise<void> => {
		const { pids } = node;
		for (const pid of gone) kill(pid, 'SIGKILL');
		await node.onlyNew(pids);
	};
	try {
		deploy(node, 'bad', nodeApp.broken);
		await killed(node.hostPid);
		await runs(node, 'two', null, 'after the end of the host');
		await killed(node.hostPid, ...node.pids);
		await runs(node, 'two', null, 'after the end of all processes');
		const replaced = once(node.supervisor, 'restarted');
		kill(node.pids[0], 'SIGUSR2');
		await replaced;
		await runs(node, 'two', null, 'in place of one that answered badly');

		deploy(node, 'three', nodeApp.program);
		assert.equal((await node.step('to-three', 'configured')).outcome, 'back');
		deploy(node, 'four', nodeApp.program);
		rmSync(folderOf(node, 'three'), { recursive: true });
		await killed(node.hostPid, ...node.pids);
		await runs(node, 'four', null, 'where what ran is gone');
	} finally {
		await node.end();
	}
});

test('a release that is gone, written over or was never proven here is refused by name, and nothing else starts in its place', async () => {
	const node = await nodeWith(nodeApp, 'one', 'two', 'three');
	const refuses = (revision: string, words: RegExp) =>
		assert.rejects(node.supervisor.startingFrom(back(node, revision), [node.app]), (error: Error) => {
			assert.ok(error.message.startsWith(`app web cannot start from ${scriptOf(node, revision)}: `), error.message);
			assert.match(error.message, words);
			return true;
		});
	try {
		await refuses('never', /does not keep it .* it keeps .*three.*two.*one/);
		writeFileSync(join(folderOf(node, 'one'), 'REVISION'), 'patched');
		await refuses('one', /written over: it was one, it is patched/);
		writeFileSync(join(folderOf(node, 'one'), 'REVISION'), 'one');
		renameSync(scriptOf(node, 'one'), `${scriptOf(node, 'one')}.old`);
		await refuses('one', /it is gone$/);
		symlinkSync(scriptOf(node, 'three'), scriptOf(node, 'one'));
		await refuses('one', /a link to .*three.* lies there now/);
		rmSync(scriptOf(node, 'one'));
		renameSync(`${scriptOf(node, 'one')}.old`, scriptOf(node, 'one'));
		const [app] = await node.supervisor.startingFrom(back(node, 'one'), [node.app]);
		assert.deepEqual([app?.pinned?.path, app?.pinned?.cwd], [scriptOf(node, 'one'), folderOf(node, 'one')]);
		await runs(node, 'three', null, 'nothing was changed');

		assert.equal((await node.step('undo', back(node, 'two'))).outcome, 'back');
		writeFileSync(join(folderOf(node, 'two'), 'REVISION'), 'patched');
		await node.losePower();
		const [row] = node.supervisor.readiness();
		assert.equal(row?.healthy, 0);
		assert.match(row?.degraded ?? '', /from .*two.*written over.*Rollout undo left it there.*app=web starts/);
		assert.deepEqual(Object.keys(node.supervisor.pins()), ['web']);
		rmSync(folderOf(node, 'two'), { recursive: true });
		await node.restartSupervisor();
		assert.match(node.supervisor.readiness()[0]?.degraded ?? '', /from .*two.*is gone.*Rollout undo left it there/);
		assert.equal((await node.step('to-three', 'configured')).outcome, 'back');
		await runs(node, 'three', null, 'as a plain step asked');
	} finally {
		await node.end();
	}
});
