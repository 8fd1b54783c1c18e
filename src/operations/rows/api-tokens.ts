import { duration, durationOf, text } from '../fields.js';
import { operation, userOf } from '../operation.js';
import { type Role, roles } from '../types.js';

const dayMs = 24 * 3_600_000;
const lifetimeDefaultMs = 90 * dayMs;
/** A token that is forgotten is no good for ever. */
const lifetimeMaxMs = 366 * dayMs;
const lifetimeMinMs = 1_000;

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const nameRule = (value: unknown): string | null =>
	typeof value === 'string' && value !== '' && !namePattern.test(value)
		? "'name' must have letters, digits, dots, dashes and underscores alone, begin with a letter or digit, and have at most 64 characters"
		: null;

const role = { type: 'string', enum: roles };
const name = { type: 'string' };
const moment = { type: 'integer', description: 'ms since 1970' };

export const apiTokenOperations = [
	operation({
		name: 'create_token',
		access: 'super_user',
		fields: {
			name: text({ summary: 'What it is for, such as ci.', rule: nameRule }),
			role: text<Role>({ summary: 'What its holder may do.', values: roles }),
			expires_in: duration({
				summary: 'How long it is good: 1h, 30d; 90d if not given, 366d at most.',
				minMs: lifetimeMinMs,
				maxMs: lifetimeMaxMs,
			}),
		},
		summary: 'Makes an API token of this node, to be sent as Bearer; the token is shown in this answer alone.',
		changes: true,
		answer: {
			type: 'object',
			required: ['name', 'role', 'token', 'expires_at'],
			properties: { name, role, token: { type: 'string' }, expires_at: moment },
		},
		async handler(context, request) {
			const lifetimeMs = request.expires_in === undefined ? lifetimeDefaultMs : durationOf(request.expires_in);
			const by = userOf(context);
			const made = await context.node.apiTokens.create({ name: request.name, role: request.role, lifetimeMs, by });
			return { name: made.name, role: made.role, token: made.token, expires_at: made.expires_at };
		},
	}),
	operation({
		name: 'list_tokens',
		access: 'super_user',
		fields: {},
		summary: 'Lists the API tokens of this node; one that has expired for 30 days more.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: { name, role, created_by: name, created_at: moment, expires_at: moment },
			},
		},
		handler: ({ node }) => node.apiTokens.list(),
	}),
	operation({
		name: 'drop_token',
		access: 'super_user',
		fields: { name: text({ summary: 'Which.' }) },
		summary: 'Drops an API token. The next request with it is refused, and streams that were opened with it end.',
		changes: true,
		answer: { type: 'object', properties: { message: { type: 'string' } } },
		async handler({ node }, request) {
			await node.apiTokens.drop(request.name);
			return { message: `${request.name} successfully deleted` };
		},
	}),
];
