import { RollcallError } from '../../errors.js';
import { optionalText, text } from '../fields.js';
import { rowsOf } from '../of-nodes.js';
import { operation, userOf } from '../operation.js';
import { availabilities, type Availability, type StatusId, statusIds } from '../statuses.js';
import type { OperationContext } from '../types.js';

const recordSchema = {
	type: 'object',
	properties: {
		id: { type: 'string', enum: statusIds },
		status: { type: 'string' },
		__createdtime__: { type: 'integer' },
		__updatedtime__: { type: 'integer' },
	},
};

const optionalId = optionalText<StatusId>({
	summary: 'Which status; primary if not given.',
	values: statusIds,
});
const statusLengthMax = 512;

/** `availability` steers readiness, so it takes only the two words that do. */
const availabilityRule = (value: unknown, request: Readonly<Record<string, unknown>>): string | null =>
	request['id'] === 'availability' && !availabilities.some((allowed) => allowed === value)
		? `Status "availability" only accepts these values: ${availabilities.join(', ')}`
		: null;

const oneNode = optionalText({
	summary: 'Which node; this one if not given.',
	lengthMax: 63,
	rule: (value) => (value === 'all' ? "'node' must be the name of one node" : null),
});

const availabilitySchema = {
	type: 'object',
	properties: { node: { type: 'string' }, availability: { type: ['string', 'null'] } },
};

/** Sets it on the node, over its link if it is another one; throws `unavailable` if that does not answer. */
async function setAvailability(
	context: OperationContext,
	asked: string | undefined,
	wanted: Availability | null,
): Promise<object> {
	const node = asked ?? context.node.fleet.clusterStatus().node;
	const query = { about: 'availability', wanted, user: userOf(context) } as const;
	const [row = {}] = await rowsOf(context, query, node);
	if ('error' in row) throw new RollcallError('unavailable', `${node} does not answer: ${String(row.error)}`);
	return row;
}

export const statusOperations = [
	operation({
		name: 'set_status',
		access: 'super_user',
		fields: {
			id: optionalId,
			status: text({
				summary: 'The text, 1 to 512 characters; availability takes only Available and Unavailable.',
				lengthMax: statusLengthMax,
				rule: availabilityRule,
			}),
		},
		summary: 'Sets a status of this node.',
		changes: true,
		answer: recordSchema,
		handler: ({ node }, { id, status }) => node.statuses.set(id ?? 'primary', status),
	}),
	operation({
		name: 'get_status',
		access: 'super_user',
		fields: {
			id: optionalText<StatusId>({
				summary: 'Which status; all of them if not given.',
				values: statusIds,
			}),
		},
		summary: 'Answers one status, {} if it is not set, or all in the order set.',
		answer: { oneOf: [recordSchema, { type: 'array', items: recordSchema }] },
		handler: ({ node }, { id }) => (id === undefined ? node.statuses.list() : (node.statuses.get(id) ?? {})),
	}),
	operation({
		name: 'clear_status',
		access: 'super_user',
		fields: { id: text<StatusId>({ summary: 'Which status.', values: statusIds }) },
		summary: 'Clears a status of this node, also one that was not set.',
		changes: true,
		answer: { type: 'object', properties: { message: { type: 'string' } } },
		handler({ node }, { id }) {
			node.statuses.clear(id);
			return { message: 'Status successfully cleared' };
		},
	}),
	operation({
		name: 'drain_node',
		access: 'super_user',
		fields: { node: oneNode },
		summary: 'Makes a node answer load balancers that it is not ready, until ready_node or its daemon starts again.',
		changes: true,
		answer: availabilitySchema,
		handler: (context, { node }) => setAvailability(context, node, 'Unavailable'),
	}),
	operation({
		name: 'ready_node',
		access: 'super_user',
		fields: { node: oneNode },
		summary: 'Takes back what drain_node, or set_status with the id availability, has said of a node.',
		changes: true,
		answer: availabilitySchema,
		handler: (context, { node }) => setAvailability(context, node, null),
	}),
];
