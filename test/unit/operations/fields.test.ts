import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf } from '../../../src/operations/fields.js';
import { operations, operationsByName } from '../../../src/operations/table.js';
import { systemAttributes } from '../../../src/system/information/attributes.js';

/** The faults of a request as dispatch would join them. */
function fault(operation: string, request: Record<string, unknown>): string {
	const row = operationsByName.get(operation);
	assert.ok(row, operation);
	return faultsOf(row.fields, { operation, ...request }).join('. ');
}

const ids = "'id' must be one of [primary, maintenance, availability]";
const available = 'Status "availability" only accepts these values: Available, Unavailable';
const long = "'status' length must be less than or equal to 512 characters long";

const faulty: [string, Record<string, unknown>, string][] = [
	// Within a field: allowed values, type, emptiness, length.
	['set_status', { id: null, status: 'x' }, `${ids}. 'id' must be a string`],
	['set_status', { id: '', status: 'x' }, `${ids}. 'id' is not allowed to be empty`],
	['set_status', { status: null }, "'status' must be a string"],
	['set_status', { id: 'availability', status: 5 }, `${available}. 'status' must be a string`],
	['set_status', { id: 'availability', status: null }, `${available}. 'status' must be a string`],
	['set_status', { id: 'availability', status: 'x'.repeat(513) }, `${available}. ${long}`],
	['set_status', { id: 'maintenance', status: 'x'.repeat(513) }, long],
	// A required field that is missing has only that fault.
	['set_status', { id: 'availability' }, "'status' is required"],
	// The table's order, whatever the request's; unknown fields last.
	[
		'set_status',
		{ zeta: 1, status: '', id: 7, alpha: null },
		`${ids}. 'id' must be a string. 'status' is not allowed to be empty. 'zeta' is not allowed. 'alpha' is not allowed`,
	],
	['set_status', { foo: 1 }, "'status' is required. 'foo' is not allowed"],
	['set_status', { id: 'primary', status: 'ok', __proto__x: 1 }, "'__proto__x' is not allowed"],
	['clear_status', { id: null }, `${ids}. 'id' must be a string`],
	['get_status', { id: [] }, `${ids}. 'id' must be a string`],
	['get_status', { ID: 'primary' }, "'ID' is not allowed"],
	// `Invalid service` is that field's only text.
	['restart_service', { service: null }, 'Invalid service'],
	['restart_service', { service: 7 }, 'Invalid service'],
	['restart_service', { service: '' }, 'Invalid service'],
	['restart_service', { service: 'HTTP_WORKERS' }, 'Invalid service'],
	[
		'restart_service',
		{ replicated: 'yes', foo: 1 },
		"Invalid service. 'replicated' must be a boolean. 'foo' is not allowed",
	],
	['restart_service', { service: 'http_workers', replicated: null }, "'replicated' must be a boolean"],
	['restart_service', { service: 'http_workers', replicated: 1 }, "'replicated' must be a boolean"],
	['restart_service', { service: 'http_workers', app: '' }, "'app' is not allowed to be empty"],
	['restart_service', { service: 'http_workers', app: 7 }, "'app' must be a string"],
	['restart_service', { service: 'http_workers', dry_run: 'true' }, "'dry_run' must be a boolean"],
	...['many', '0%', '101%', '2', ''].map((max_unavailable): [string, Record<string, unknown>, string] => [
		'restart_service',
		{ service: 'http_workers', max_unavailable },
		"'max_unavailable' must be a number, or a text of per cent from 1% to 100%",
	]),
	[
		'restart_service',
		{ service: 'http_workers', app: 'a'.repeat(129) },
		"'app' length must be less than or equal to 128 characters long",
	],
	[
		'restart_service',
		{ service: 'http_workers', max_unavailable: 0 },
		"'max_unavailable' must be greater than or equal to 1",
	],
	['restart_service', { service: 'http_workers', max_unavailable: 1.5 }, "'max_unavailable' must be an integer"],
	[
		'restart_service',
		{ service: 'http_workers', on_failure: 'stop' },
		"'on_failure' must be one of [halt, continue, revert]",
	],
	[
		'restart_service',
		{ service: 'http_workers', on_failure: 1 },
		"'on_failure' must be one of [halt, continue, revert]. 'on_failure' must be a string",
	],
	['restart', { replicated: 'true' }, "'replicated' must be a boolean"],
	['restart', { service: 'http_workers' }, "'service' is not allowed"],
	['system_information', { attributes: null }, "'attributes' must be an array"],
	['system_information', { attributes: {} }, "'attributes' must be an array"],
	[
		'system_information',
		{ attributes: ['time', 'bogus', 7] },
		[1, 2].map((at) => `'attributes[${at}]' must be one of [${systemAttributes.join(', ')}]`).join('. '),
	],
	['get_job', { id: '' }, "'id' is not allowed to be empty"],
	['get_job', { id: 5 }, "'id' must be a string"],
	['get_rollout', {}, "'id' is required"],
	['list_rollouts', { limit: 0 }, "'limit' must be greater than or equal to 1"],
	['list_rollouts', { limit: '3' }, "'limit' must be a number"],
	['resume_rollout', { id: 'x', skip: 'beta' }, "'skip' must be an array"],
	[
		'resume_rollout',
		{ id: 'x', skip: ['beta', 7, ''] },
		"'skip[1]' must be a string. 'skip[2]' is not allowed to be empty",
	],
	['abort_rollout', { id: 'x', local: 'yes' }, "'local' must be a boolean"],
	['admit_node', {}, "'node' is required"],
	['add_user', {}, "'username' is required. 'password' is required. 'role' is required"],
	[
		'add_user',
		{ username: 'a:b', password: 'pass-word', role: 'viewer' },
		"'username' must not contain a colon, control or invisible characters, nor begin or end with a space",
	],
	...['admin\u200b', 'admin\u202e', ' admin', 'admin\u00a0', '\ud800', 'a\nb'].map(
		(username): [string, Record<string, unknown>, string] => [
			'add_user',
			{ username, password: 'pass-word', role: 'viewer' },
			"'username' must not contain a colon, control or invisible characters, nor begin or end with a space",
		],
	),
	[
		'add_user',
		{ username: 'a', password: '', role: 'root', active: 1 },
		"'password' is not allowed to be empty. 'role' must be one of [super_user, operator, viewer]. 'active' must be a boolean",
	],
	['list_users', { password: 'x' }, "'password' is not allowed"],
];

test('every fault of a field has the text and the place that the contract gives it', () => {
	for (const [operation, request, expected] of faulty) assert.equal(fault(operation, request), expected);
});

const sound: [string, Record<string, unknown>][] = [
	['set_status', { status: 'x'.repeat(512) }],
	['set_status', { id: 'availability', status: 'Unavailable' }],
	['get_status', {}],
	['restart', { replicated: false }],
	[
		'restart_service',
		{
			service: 'http_workers',
			replicated: true,
			app: 'web',
			dry_run: true,
			max_unavailable: '50%',
			on_failure: 'continue',
		},
	],
	['restart_service', { service: 'clustering', max_unavailable: 2 }],
	['system_information', { attributes: [] }],
	['system_information', { attributes: [...systemAttributes, 'time'] }],
	['resume_rollout', { id: 'x', skip: [] }],
	['alter_user', { username: 'a:b' }],
	['add_user', { username: 'Jörg von Z.@例え', password: 'pass-word', role: 'viewer' }],
];

test('what the contract allows has no fault', () => {
	for (const [operation, request] of sound) assert.equal(fault(operation, request), '');
});

test('an own field named __proto__ or constructor is an unknown field, not a way around the check', () => {
	const request = JSON.parse('{"id":"primary","status":"x","__proto__":{"a":1},"constructor":1}') as Record<
		string,
		unknown
	>;
	assert.equal(fault('set_status', request), "'__proto__' is not allowed. 'constructor' is not allowed");
	const inherited = JSON.parse('{"__proto__":{"status":"x"}}') as Record<string, unknown>;
	assert.equal(fault('set_status', inherited), "'status' is required. '__proto__' is not allowed");
});

test('an answer to a faulty request stays small, whatever the request holds', () => {
	const attributes = Array.from({ length: 30_000 }, () => 7);
	assert.ok(fault('system_information', { attributes }).length < 32_768);
	const unknown = Object.fromEntries(Array.from({ length: 9_000 }, (_, at) => [`f${at}`, 1]));
	assert.ok(fault('get_status', unknown).length < 32_768);
});

test('no operation takes a field named operation, and every row says what it does', () => {
	for (const { name, fields, summary } of operations) {
		assert.ok(!('operation' in fields), name);
		assert.match(name, /^[a-z]+(_[a-z]+)*$/);
		assert.match(summary, /\.$/, name);
	}
	assert.equal(operationsByName.size, operations.length, 'two rows have one name');
});
