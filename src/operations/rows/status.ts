import { optionalText, text } from '../fields.js';
import { operation } from '../operation.js';
import { availabilities, type StatusId, statusIds } from '../statuses.js';

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
];
