/** A job that holds a token of role operator and nothing else rolls a real fleet, and what was done stands in the audit. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { resultShapes } from '../../src/cli/output/json-schemas.js';
import { makeFleet, type RealFleet, type RealNode, rollcall, waitFor } from '../support/fleet/nodes.js';

let fleet: RealFleet;
let alpha: RealNode;
before(async () => {
	fleet = await makeFleet([{ name: 'alpha' }, { name: 'beta' }]);
	[alpha] = fleet.nodes as [RealNode];
	await fleet.start();
});
after(() => fleet.end());

const own = async (...words: string[]) => rollcall([...words, '--json', '--config', alpha.configFile]);
const audit = async () => resultShapes.audit.parse(JSON.parse((await own('audit')).stdout));

test('with its token alone a job rolls by note and hold, looks, goes on, and may nothing that an operator may not; a restart of the daemon changes nothing of that', async () => {
	const made = await own('token', 'create', 'ci', '--role', 'operator');
	const { token } = resultShapes['token create'].parse(JSON.parse(made.stdout));
	const job = (...words: string[]) =>
		rollcall([...words, '--json', '--url', `http://127.0.0.1:${alpha.ports.operations}`], { ROLLCALL_TOKEN: token });
	// As a job does: it rolls one node, looks at it, and goes on.
	const begun = await job('rollout', 'start', '--hold-after', '1', '--note', 'build 1234');
	assert.equal(begun.code, 0, begun.stderr);
	const held = resultShapes['rollout start'].parse(JSON.parse(begun.stdout));
	assert.deepEqual([held.state, held.note, held.user], ['paused', 'build 1234', 'token:ci']);
	const first = held.nodes.find(({ state }) => state === 'back')?.node ?? '';
	const look = await job('status', '--node', first);
	assert.equal(resultShapes.status.parse(JSON.parse(look.stdout)).node.ready, true, look.stderr);
	assert.equal((await job('logs', '--node', first)).code, 0);
	assert.equal((await job('status', '--check', '--node', 'all')).code, 1, 'a rollout that is held waits for somebody');
	const ended = await job('rollout', 'resume', held.id.slice(0, 8));
	assert.equal(ended.code, 0, ended.stderr);
	const rollout = resultShapes['rollout resume'].parse(JSON.parse(ended.stdout));
	assert.deepEqual(
		[rollout.id, rollout.state, rollout.asked_by?.user, ...rollout.nodes.map(({ state }) => state)],
		[held.id, 'completed', 'token:ci', 'back', 'back'],
	);
	assert.equal((await job('status', '--check', '--node', 'all')).code, 0);
	assert.equal((await job('restart_service', 'service=http_workers')).code, 5);
	assert.equal((await job('token', 'create', 'more', '--role', 'super_user')).code, 5);
	assert.equal((await job('node', 'drain', 'beta')).code, 5);

	await alpha.kill();
	alpha.start();
	await alpha.ready();
	assert.equal((await job('rollout', 'status')).code, 0);
	const records = (await audit()).map(({ user, by, operation, status, rollout }) => [
		user,
		by,
		operation,
		status,
		rollout,
	]);
	assert.deepEqual(records, [
		[userInfo().username, 'socket', 'create_token', 200, null],
		['token:ci', 'api_token', 'start_rollout', 200, rollout.id],
		['token:ci', 'api_token', 'resume_rollout', 200, rollout.id],
		['token:ci', 'api_token', 'restart_service', 403, null],
		['token:ci', 'api_token', 'create_token', 403, null],
		['token:ci', 'api_token', 'drain_node', 403, null],
	]);
	const [, start] = await audit();
	assert.deepEqual(
		[start?.role, start?.from, start?.fields],
		['operator', '127.0.0.1', { hold_after: 1, note: 'build 1234' }],
	);
});

test('a reload by a signal is recorded; status says when records cannot be written, and changes go on', async () => {
	alpha.child?.kill('SIGHUP');
	const isReload = ({ user, operation }: { user: string | null; operation: string }) =>
		user === 'SIGHUP' && operation === 'reload';
	await waitFor('the record of the reload', async () => (await audit()).some(isReload));
	const file = join(alpha.stateDir, 'audit.log');
	rmSync(file);
	mkdirSync(file);
	assert.equal((await own('set_status', 'status=hello')).code, 0);
	const wrong = async () => resultShapes.status.parse(JSON.parse((await own('status')).stdout)).wrong.join();
	assert.match(await wrong(), /audit\.log cannot be written \(EISDIR.*\): 1 changes stand in the log alone/);
	assert.match(alpha.log(), /"event":"audit_not_written"/);
	rmSync(file, { recursive: true });
	assert.equal((await own('clear_status', 'id=primary')).code, 0);
	assert.equal(await wrong(), '');
	assert.equal((await audit()).at(-1)?.left_out, 1);
});
