import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RollcallError } from '../../../src/errors.js';
import { camelCase, dispatch } from '../../../src/operations/dispatch.js';
import { jobOf } from '../../../src/operations/rows/job-view.js';
import { operations } from '../../../src/operations/table.js';
import type { Caller } from '../../../src/operations/types.js';
import { type Access, openAccess } from '../../../src/server/access/access.js';
import { accessOf, type CallerName, doors } from '../../support/operations/doors.js';
import { type FakeServices, fakeServices } from '../../support/operations/fake-services.js';
import { cheapCost } from '../../support/operations/operations-server.js';

let folder: string;
let access: Access;
let services: FakeServices;

before(async () => {
	folder = await mkdtemp(join(tmpdir(), 'rc-dispatch-'));
	access = await openAccess({
		stateDir: folder,
		admin: { username: 'admin', password: 'admin-password-1' },
		cost: cheapCost,
	});
	services = fakeServices(access);
});
after(() => rm(folder, { recursive: true, force: true }));

const at = { transport: 'http', address: '127.0.0.1' } as const;
const generation = 'as it was';
const callers = {
	nothing: { ...at, by: 'nothing', user: null, role: null },
	socket: { transport: 'socket', address: 'socket', by: 'socket', user: 'ada', uid: 1000, role: 'super_user' },
	super_user: { ...at, by: 'basic', user: 'admin', role: 'super_user', generation },
	super_user_token: { ...at, by: 'operation_token', user: 'admin', role: 'super_user', generation },
	super_user_api_token: { ...at, by: 'api_token', user: 'token:ci', role: 'super_user', generation },
	operator: { ...at, by: 'basic', user: 'admin', role: 'operator', generation },
	operator_token: { ...at, by: 'operation_token', user: 'admin', role: 'operator', generation },
	operator_api_token: { ...at, by: 'api_token', user: 'token:ci', role: 'operator', generation },
	viewer: { ...at, by: 'basic', user: 'admin', role: 'viewer', generation },
	viewer_token: { ...at, by: 'operation_token', user: 'admin', role: 'viewer', generation },
	viewer_api_token: { ...at, by: 'api_token', user: 'token:ci', role: 'viewer', generation },
	refresh_token: { ...at, by: 'refresh_token', user: 'admin', role: 'super_user', generation },
} satisfies Record<CallerName, Caller>;

/** The refusal of a request: its status and answer; null when it was handled. */
async function refusal(
	caller: Caller,
	body: unknown,
): Promise<{ status: number; error: string; extra: unknown } | null> {
	try {
		const outcome = dispatch(services.node, { caller, body, follow: false });
		assert.equal(outcome.kind, 'answer');
		if (outcome.kind === 'answer') await outcome.body;
		return null;
	} catch (thrown) {
		assert.ok(thrown instanceof RollcallError, String(thrown));
		return { status: thrown.httpStatus, error: thrown.message, extra: thrown.extra };
	}
}

test('every operation of the table lets in exactly the callers that the contract names', async () => {
	assert.deepEqual(operations.map(({ name }) => name).sort(), Object.keys(accessOf).sort());
	for (const { name } of operations) {
		const door = doors[accessOf[name] ?? 'super_user'];
		for (const [who, caller] of Object.entries(callers)) {
			// A field that no operation has is found only behind the door, and nothing is done.
			const refused = await refusal(caller, { operation: name, no_such_field: 1 });
			const expected = door[who as CallerName];
			const seen = refused?.status === 400 ? 'in' : refused?.status;
			assert.equal(seen, expected, `${who} asks ${name}: ${refused?.error}`);
			if (seen === 403) {
				assert.deepEqual(refused?.extra, {
					unauthorized_access: [`Operation '${camelCase(name)}' is restricted to '${accessOf[name]}' roles`],
					invalid_schema_items: [],
				});
			}
		}
	}
});

test('of several faults at once, the check that comes first in the contract answers', async () => {
	const missing = "Request body must include an 'operation' property.";
	const cases: [string, Caller, unknown, number, string][] = [
		['no operation before no credentials', callers.nothing, {}, 400, missing],
		['no operation before a viewer', callers.viewer, { foo: 1 }, 400, missing],
		['a list is no request', callers.nothing, ['get_status'], 400, missing],
		['a text is no request', callers.super_user, 'get_status', 400, missing],
		['operation null', callers.nothing, { operation: null }, 400, missing],
		[
			'operation not a text before no credentials',
			callers.nothing,
			{ operation: 5 },
			400,
			"'operation' must be a string",
		],
		['no credentials before an unknown operation', callers.nothing, { operation: 'nope' }, 401, 'Must login'],
		['no credentials before fields', callers.nothing, { operation: 'set_status' }, 401, 'Must login'],
		['an unknown operation before the role', callers.viewer, { operation: 'nope' }, 400, "Operation 'nope' not found"],
		['an empty name is an unknown operation', callers.super_user, { operation: '' }, 400, "Operation '' not found"],
		[
			'an inherited name is no operation',
			callers.super_user,
			{ operation: 'constructor' },
			400,
			"Operation 'constructor' not found",
		],
		[
			'the role before fields',
			callers.viewer,
			{ operation: 'set_status', foo: 1 },
			403,
			'This operation is not authorized due to role restrictions and/or invalid database items',
		],
		[
			'fields before an unknown rollout',
			callers.viewer,
			{ operation: 'get_rollout', id: 'x', foo: 1 },
			400,
			"'foo' is not allowed",
		],
		['an unknown rollout', callers.viewer, { operation: 'get_rollout', id: 'x' }, 404, "Rollout 'x' not found"],
		['a refresh token before an unknown operation', callers.refresh_token, { operation: 'nope' }, 401, 'invalid token'],
		['no operation before a refresh token', callers.refresh_token, {}, 400, missing],
	];
	for (const [name, caller, body, status, error] of cases) {
		const refused = await refusal(caller, body);
		assert.deepEqual({ status: refused?.status, error: refused?.error }, { status, error }, name);
	}
});

test('what the fleet refuses is the last check, and its job_id stands in the answer', async () => {
	services.fleet.refusal = new RollcallError('conflict', 'Rollout j-1 is running', { job_id: 'j-1' });
	const body = { operation: 'restart_service', service: 'http_workers' };
	assert.deepEqual(await refusal(callers.super_user, body), {
		status: 409,
		error: 'Rollout j-1 is running',
		extra: { job_id: 'j-1' },
	});
	assert.equal((await refusal(callers.super_user, { ...body, foo: 1 }))?.status, 400);
	services.fleet.refusal = null;
});

async function answer(body: Record<string, unknown>, caller: Caller = callers.super_user): Promise<unknown> {
	const outcome = dispatch(services.node, { caller, body, follow: false });
	assert.equal(outcome.kind, 'answer');
	return outcome.kind === 'answer' ? outcome.body : undefined;
}

test('restart answers its text alone, and a job_id when it is replicated', async () => {
	const message = 'Restarting HarperDB. This may take up to 60 seconds.';
	assert.deepEqual(await answer({ operation: 'restart' }), { message });
	assert.deepEqual(await answer({ operation: 'restart', replicated: false }), { message });
	const replicated = (await answer({ operation: 'restart', replicated: true })) as { message: string; job_id: string };
	assert.deepEqual(Object.keys(replicated), ['message', 'job_id']);
	assert.equal(replicated.message, message);
});

test('restart_service hands over what was asked for, and a dry run starts nothing', async () => {
	services.fleet.requests.length = 0;
	const request = { operation: 'restart_service', service: 'http_workers', replicated: true, app: 'web' };
	const plan = (await answer({ ...request, dry_run: true })) as { order: string[] };
	assert.deepEqual(plan.order, ['alpha']);
	assert.equal(services.fleet.requests.length, 0);
	await answer({ ...request, max_unavailable: '50%', on_failure: 'continue' });
	await answer({ operation: 'restart_service', service: 'clustering' }, callers.socket);
	assert.deepEqual(services.fleet.requests, [
		{
			type: 'restart_service',
			service: 'http_workers',
			app: 'web',
			replicated: true,
			user: 'admin',
			from: '127.0.0.1',
			maxUnavailable: '50%',
			onFailure: 'continue',
		},
		{ type: 'restart_service', service: 'clustering', app: null, replicated: false, user: 'ada', from: 'socket' },
	]);
});

test('start_rollout hands over what it selects, its hold, its note and where it came from', async () => {
	services.fleet.requests.length = 0;
	const looking = { nodes: ['beta', 'gamma'], zone: 'rack-1', hold_after: 0, note: 'canary of 4.2' };
	await answer({ operation: 'start_rollout', ...looking });
	const { nodes, zone, note } = looking;
	const asked = { type: 'restart_service', service: 'http_workers', app: null, replicated: true, user: 'admin' };
	assert.deepEqual(services.fleet.requests, [{ ...asked, from: '127.0.0.1', nodes, zone, holdAfter: 0, note }]);
});

test('undo_rollout hands over the rollout that it undoes, by default the newest of http_workers, and what it covered', async () => {
	services.fleet.requests.length = 0;
	const { job_id: rolled } = (await answer({ operation: 'start_rollout', app: 'web' })) as { job_id: string };
	await answer({ operation: 'restart_service', service: 'clustering', replicated: true });
	await answer({ operation: 'undo_rollout', note: 'too slow' });
	const undone = (await answer({ operation: 'undo_rollout', id: rolled })) as { message: string };
	assert.equal(undone.message, `Undoing rollout ${rolled}`);
	const asked = { type: 'restart_service', service: 'http_workers', app: 'web', replicated: true, user: 'admin' };
	const undo = { ...asked, from: '127.0.0.1', reverts: rolled };
	assert.deepEqual(services.fleet.requests.slice(2), [{ ...undo, note: 'too slow' }, undo]);
	const refused = await refusal(callers.super_user, { operation: 'undo_rollout', id: 'nope', note: 'x' });
	assert.equal(refused?.error, "Rollout 'nope' not found");
});

test('a note is one line of at most 256 characters, and a selection holds a node', async () => {
	const faults: [Record<string, unknown>, string][] = [
		[{ note: 'a\nb' }, "'note' must be one line without control characters"],
		[{ note: '\u001b[31m' }, "'note' must be one line without control characters"],
		[{ note: '\u202eabc' }, "'note' must be one line without control characters"],
		[{ note: '\ud800' }, "'note' must be one line without control characters"],
		[{ note: 'x'.repeat(257) }, "'note' length must be less than or equal to 256 characters long"],
		[{ note: '' }, "'note' is not allowed to be empty"],
		[{ nodes: [] }, "'nodes' must contain at least 1 items"],
		[{ nodes: 'beta' }, "'nodes' must be an array"],
		[{ nodes: [7] }, "'nodes[0]' must be a string"],
		[{ hold_after: -1 }, "'hold_after' must be greater than or equal to 0"],
		[{ hold_after: 1.5 }, "'hold_after' must be an integer"],
		[{ hold_after: '1' }, "'hold_after' must be a number"],
		[{ zone: '' }, "'zone' is not allowed to be empty"],
	];
	for (const [fields, text] of faults) {
		const refused = await refusal(callers.super_user, { operation: 'start_rollout', ...fields });
		assert.equal(refused?.error, text, JSON.stringify(fields));
	}
	services.fleet.requests.length = 0;
	await answer({ operation: 'start_rollout', note: 'ä'.repeat(256) });
	assert.equal(services.fleet.requests.length, 1);
});

test('an app with a service that has none is refused', async () => {
	const refused = await refusal(callers.super_user, {
		operation: 'restart_service',
		service: 'clustering',
		app: 'web',
	});
	assert.equal(refused?.error, "'app' is not allowed with service 'clustering'");
});

test('a job tells state, nodes and times of its rollout', async () => {
	const { job_id: id } = (await answer({
		operation: 'restart_service',
		service: 'http_workers',
		replicated: true,
	})) as {
		job_id: string;
	};
	const running = services.fleet.get(id);
	assert.ok(running);
	assert.deepEqual(await answer({ operation: 'get_job', id }), [
		{
			id,
			type: 'restart_service',
			status: 'IN_PROGRESS',
			message: 'Restarting http_workers',
			result: { replicated: [{ node: 'alpha', message: 'Restarting' }] },
			user: 'admin',
			created_datetime: 900,
			start_datetime: 1000,
		},
	]);
	const statuses = {
		planned: 'CREATED',
		running: 'IN_PROGRESS',
		paused: 'IN_PROGRESS',
		completed: 'COMPLETE',
		halted: 'ERROR',
		aborted: 'ERROR',
	} as const;
	for (const [state, status] of Object.entries(statuses)) {
		assert.equal(jobOf({ ...running, state: state as keyof typeof statuses }).status, status);
	}
	const halted = jobOf({ ...running, state: 'halted', reason: 'beta refused', replicated: false, ended_at: 2000 });
	assert.equal(halted.message, 'beta refused');
	assert.equal(halted.end_datetime, 2000);
	assert.ok(!('result' in halted));
	assert.deepEqual(await answer({ operation: 'get_job', id: 'nope' }), []);
});

test('an operator steers a rollout and admits a node', async () => {
	const { job_id: id } = (await answer({ operation: 'restart', replicated: true })) as { job_id: string };
	const state = async (operation: string): Promise<unknown> =>
		((await answer({ operation, id })) as { state: string }).state;
	assert.equal(await state('pause_rollout'), 'paused');
	assert.equal(await state('resume_rollout'), 'running');
	assert.equal(await state('abort_rollout'), 'aborted');
	const local = { operation: 'abort_rollout', id, local: true };
	assert.equal(await refusal(callers.socket, local), null);
	const remote = await refusal(callers.super_user, local);
	assert.equal(remote?.status, 403);
	assert.match(String(remote?.error), /'local' is taken over the admin socket alone/);
	assert.equal(await refusal(callers.super_user, { ...local, local: false }), null);
	assert.equal((await refusal(callers.super_user, { operation: 'pause_rollout', id: 'nope' }))?.status, 404);
	await answer({ operation: 'admit_node', node: 'beta' });
	assert.deepEqual(services.fleet.admitted, ['beta']);
});

test('a status that was cleared starts anew at the end of the order, and its first time is kept while it is set', async () => {
	const { statuses } = services.node;
	const first = statuses.set('primary', 'one');
	statuses.set('maintenance', 'm');
	assert.equal(statuses.set('primary', 'two').__createdtime__, first.__createdtime__);
	assert.deepEqual(
		statuses.list().map(({ id }) => id),
		['primary', 'maintenance'],
	);
	statuses.clear('primary');
	statuses.set('primary', 'three');
	assert.deepEqual(
		statuses.list().map(({ id }) => id),
		['maintenance', 'primary'],
	);
});
