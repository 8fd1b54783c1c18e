import { RollcallError } from '../../errors.js';
import { flag, optionalText, text } from '../fields.js';
import { operation } from '../operation.js';
import { type Role, roles, type TokenOwner } from '../types.js';
import { isUsername, passwordLengthMin, usernameRule } from './usernames.js';

const usernameLengthMax = 250;
const passwordRules = { lengthMin: passwordLengthMin, lengthMax: 1024, secret: true };

const messageSchema = { type: 'object', properties: { message: { type: 'string' } } };
const token = { type: 'string', description: 'A JSON Web Token, to be sent as Bearer.' };
const username = text({ summary: 'Whose.', lengthMax: usernameLengthMax });

const newUsername = text({
	summary: 'The name; no colon, no control or invisible characters, no space at its ends.',
	lengthMax: usernameLengthMax,
	rule: (value) => (typeof value === 'string' && !isUsername(value) ? `'username' ${usernameRule}` : null),
});

export const userOperations = [
	operation({
		name: 'add_user',
		access: 'super_user',
		fields: {
			username: newUsername,
			password: text({ ...passwordRules, summary: `The password, ${passwordLengthMin} characters at least.` }),
			role: text<Role>({ summary: 'What the user may do.', values: roles }),
			active: flag('Whether the user may log in; true if not given.'),
		},
		summary: 'Adds a user to this node.',
		changes: true,
		answer: messageSchema,
		async handler({ node }, request) {
			await node.users.add({
				username: request.username,
				password: request.password,
				role: request.role,
				active: request.active ?? true,
			});
			return { message: `${request.username} successfully added` };
		},
	}),
	operation({
		name: 'alter_user',
		access: 'super_user',
		fields: {
			username,
			password: optionalText({ ...passwordRules, summary: 'A new password.' }),
			role: optionalText<Role>({ summary: 'A new role.', values: roles }),
			active: flag('Whether the user may log in.'),
		},
		summary: 'Alters a user; a new password or active: false makes the tokens of the user void.',
		changes: true,
		answer: messageSchema,
		async handler({ node }, request) {
			const { password, role, active } = request;
			if (password === undefined && role === undefined && active === undefined) {
				throw new RollcallError('invalid', "nothing to alter: give 'password', 'role' or 'active'");
			}
			await node.users.alter(request.username, { password, role, active });
			return { message: `${request.username} successfully altered` };
		},
	}),
	operation({
		name: 'drop_user',
		access: 'super_user',
		fields: { username },
		summary: 'Drops a user; the tokens of the user are void.',
		changes: true,
		answer: messageSchema,
		async handler({ node }, request) {
			await node.users.drop(request.username);
			return { message: `${request.username} successfully deleted` };
		},
	}),
	operation({
		name: 'list_users',
		access: 'super_user',
		fields: {},
		summary: 'Lists the users of this node.',
		answer: {
			type: 'array',
			items: {
				type: 'object',
				properties: {
					username: { type: 'string' },
					role: { type: 'string', enum: roles },
					active: { type: 'boolean' },
				},
			},
		},
		handler: ({ node }) => node.users.list(),
	}),
	operation({
		name: 'create_authentication_tokens',
		access: 'anyone',
		fields: {
			username: optionalText({ summary: 'Whose tokens; not needed with Basic credentials.' }),
			password: optionalText({ summary: 'The password of that user.', secret: true }),
		},
		summary: 'Answers an operation token, good for a day, and a refresh token, good for 30 days.',
		changes: true,
		answer: { type: 'object', properties: { operation_token: token, refresh_token: token } },
		async handler({ caller, node }, request) {
			let owner: TokenOwner | null =
				caller.by === 'basic' ? { username: caller.user, generation: caller.generation } : null;
			if (request.username !== undefined || request.password !== undefined || owner === null) {
				const login = requireBoth(request.username, request.password);
				owner = await node.logins.login(login.username, login.password, caller.address);
			}
			return { operation_token: await node.tokens.operation(owner), refresh_token: await node.tokens.refresh(owner) };
		},
	}),
	operation({
		name: 'refresh_operation_token',
		access: 'refresh_token',
		fields: {},
		summary: 'Answers a new operation token; needs the refresh token as Bearer.',
		answer: { type: 'object', properties: { operation_token: token } },
		async handler({ caller, node }) {
			if (caller.by === 'nothing' || caller.by === 'socket') throw new RollcallError('unauthenticated', 'Must login');
			const owner = { username: caller.user, generation: caller.generation };
			return { operation_token: await node.tokens.operation(owner) };
		},
	}),
];

function requireBoth(
	username: string | undefined,
	password: string | undefined,
): { username: string; password: string } {
	if (username !== undefined && password !== undefined) return { username, password };
	const missing = [
		...(username === undefined ? ["'username' is required"] : []),
		...(password === undefined ? ["'password' is required"] : []),
	];
	throw new RollcallError('invalid', missing.join('. '));
}
