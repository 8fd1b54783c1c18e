import { count } from '../fields.js';
import { operation } from '../operation.js';

const linesMax = 1_000;
const linesDefault = 100;
const orNull = (type: string) => ({ type: [type, 'null'] });

export const auditOperations = [
	operation({
		name: 'read_audit',
		access: 'super_user',
		fields: { lines: count({ summary: `How many at most; ${linesDefault} if not given.`, min: 1, max: linesMax }) },
		summary: 'Reads the last changes of this node: who, from where, what, and what came of it; oldest first.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					time: { type: 'integer', description: 'ms since 1970' },
					user: orNull('string'),
					uid: orNull('integer'),
					role: orNull('string'),
					by: { type: 'string' },
					from: { type: 'string' },
					operation: { type: 'string' },
					fields: orNull('object'),
					status: { type: 'integer' },
					error: orNull('string'),
					rollout: orNull('string'),
					left_out: { type: 'integer', description: 'how many records before this one stand in the log alone' },
				},
			},
		},
		handler: ({ node }, { lines }) => node.audit.list(lines ?? linesDefault),
	}),
];
