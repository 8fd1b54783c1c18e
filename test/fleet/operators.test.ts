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

test('with its token alone a job rolls every node and may nothing that an operator may not; a restart of the daemon changes nothing of that', async () => {
	const made = await own('token', 'create', 'ci', '--role', 'operator');
	const { token } = resultShapes['token create'].parse(JSON.parse(made.stdout));
	const job = (...words: string[]) =>
		rollcall([...words, '--json', '--url', `http://127.0.0.1:${alpha.ports.operations}`], { ROLLCALL_TOKEN: token });
	const rolled = await job('rollout', 'start');
	assert.equal(rolled.code, 0, rolled.stderr);
	const rollout = resultShapes['rollout start'].parse(JSON.parse(rolled.stdout));
	assert.deepEqual([rollout.state, rollout.user], ['completed', 'token:ci']);
	assert.deepEqual(
		rollout.nodes.map(({ state }) => state),
		['back', 'back'],
	);
	assert.equal((await job('restart_service', 'service=http_workers')).code, 5);
	assert.equal((await job('token', 'create', 'more', '--role', 'super_user')).code, 5);

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
		['token:ci', 'api_token', 'restart_service', 403, null],
		['token:ci', 'api_token', 'create_token', 403, null],
	]);
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
