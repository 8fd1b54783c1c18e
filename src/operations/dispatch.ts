import { RollcallError } from '../errors.js';
import { faultsOf } from './fields.js';
import { operationsByName } from './table.js';
import { type Caller, type Follow, type NodeServices, type Operation, roles } from './types.js';

/** What came of a request; every refusal is a RollcallError, thrown or the rejection of a body that is a promise. */
export type Outcome =
	| { kind: 'answer'; body: unknown }
	| { kind: 'follow'; follow: Follow }
	/** `abort` ends what makes the rows. */
	| { kind: 'stream'; rows: AsyncIterable<unknown>; abort: AbortController };

export interface DispatchRequest {
	caller: Caller;
	/** The parsed body, whatever it is. */
	body: unknown;
	/** The caller wants each change as a line, where the operation has that. */
	follow: boolean;
}

/** Runs the contract's checks 3 to 8 in their order; the first that fails answers. */
export function dispatch(node: NodeServices, { caller, body, follow }: DispatchRequest): Outcome {
	const { name, request } = readOperation(body);
	const row = operationsByName.get(name);
	requireCredentials(caller, row);
	if (!row) throw new RollcallError('invalid', `Operation '${name}' not found`);
	requireRole(caller, row);
	const faults = faultsOf(row.fields, request);
	if (faults.length > 0) throw new RollcallError('invalid', faults.join('. '));
	const context = { caller, node };
	if (follow && row.follow) return { kind: 'follow', follow: row.follow(context, request) };
	if (follow && row.stream) {
		const abort = new AbortController();
		return { kind: 'stream', rows: row.stream(context, request, abort.signal), abort };
	}
	return { kind: 'answer', body: row.handler(context, request) };
}

function readOperation(body: unknown): { name: string; request: Readonly<Record<string, unknown>> } {
	const request = isObject(body) ? body : {};
	const name = Object.hasOwn(request, 'operation') ? request['operation'] : null;
	if (name === null) throw new RollcallError('invalid', "Request body must include an 'operation' property.");
	if (typeof name !== 'string') throw new RollcallError('invalid', "'operation' must be a string");
	return { name, request };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A refresh token opens exactly one operation, and that one opens by nothing else. Only here is known which operation it
 * came with; it counts as a bad token everywhere else.
 */
function requireCredentials(caller: Caller, row: Operation | undefined): void {
	if (row?.access === 'anyone' && caller.by === 'nothing') return;
	if (caller.by === 'nothing') throw new RollcallError('unauthenticated', 'Must login');
	const wantsRefresh = row?.access === 'refresh_token';
	if (wantsRefresh && caller.by === 'socket') throw new RollcallError('unauthenticated', 'Must login');
	if (wantsRefresh !== (caller.by === 'refresh_token')) throw new RollcallError('unauthenticated', 'invalid token');
}

function requireRole(caller: Caller, row: Operation): void {
	if (row.access === 'anyone' || row.access === 'refresh_token') return;
	if (caller.role !== null && roles.indexOf(caller.role) <= roles.indexOf(row.access)) return;
	throw new RollcallError(
		'forbidden',
		'This operation is not authorized due to role restrictions and/or invalid database items',
		{
			unauthorized_access: [`Operation '${camelCase(row.name)}' is restricted to '${row.access}' roles`],
			invalid_schema_items: [],
		},
	);
}

export const camelCase = (name: string): string =>
	name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
