import type { Access, Role } from '../../../src/operations/types.js';

/** Every role, and how its holder may knock: by password, operation token or API token. */
const roleNames = ['super_user', 'operator', 'viewer'] as const;
const kinds = ['', '_token', '_api_token'] as const;

/** Everyone who may knock: without credentials over TCP, over the socket, with each role by each kind of credentials, and with a refresh token. */
export type CallerName = 'nothing' | 'socket' | `${Role}${(typeof kinds)[number]}` | 'refresh_token';

/** What each operation needs, written down apart from the table: a new row without a line here fails. */
export const accessOf: Record<string, Access> = {
	restart: 'super_user',
	restart_service: 'super_user',
	start_rollout: 'operator',
	undo_rollout: 'operator',
	system_information: 'super_user',
	set_status: 'super_user',
	get_status: 'super_user',
	clear_status: 'super_user',
	drain_node: 'super_user',
	ready_node: 'super_user',
	get_job: 'super_user',
	get_rollout: 'viewer',
	list_rollouts: 'viewer',
	pause_rollout: 'operator',
	resume_rollout: 'operator',
	abort_rollout: 'operator',
	admit_node: 'super_user',
	cluster_status: 'viewer',
	list_workers: 'viewer',
	read_logs: 'operator',
	node_status: 'viewer',
	add_user: 'super_user',
	alter_user: 'super_user',
	drop_user: 'super_user',
	list_users: 'super_user',
	create_token: 'super_user',
	list_tokens: 'super_user',
	drop_token: 'super_user',
	read_audit: 'super_user',
	create_authentication_tokens: 'anyone',
	refresh_operation_token: 'refresh_token',
};

/** The roles that each door of a role lets in. */
const lets: Readonly<Record<Role, readonly Role[]>> = {
	super_user: ['super_user'],
	operator: ['super_user', 'operator'],
	viewer: ['super_user', 'operator', 'viewer'],
};

type Verdict = 'in' | 401 | 403;

/** Who comes through the door, by what the operation needs; everyone else gets the status. */
export const doors: Readonly<Record<Access, Readonly<Record<CallerName, Verdict>>>> = {
	super_user: doorOf((role) => (lets.super_user.includes(role) ? 'in' : 403)),
	operator: doorOf((role) => (lets.operator.includes(role) ? 'in' : 403)),
	viewer: doorOf((role) => (lets.viewer.includes(role) ? 'in' : 403)),
	anyone: { ...doorOf(() => 'in'), nothing: 'in' },
	refresh_token: { ...doorOf(() => 401), socket: 401, refresh_token: 'in' },
};

function doorOf(verdict: (role: Role) => Verdict): Record<CallerName, Verdict> {
	const byRole = roleNames.flatMap((role) => kinds.map((kind) => [`${role}${kind}`, verdict(role)] as const));
	return {
		nothing: 401,
		socket: 'in',
		...(Object.fromEntries(byRole) as Record<`${Role}${(typeof kinds)[number]}`, Verdict>),
		refresh_token: 401,
	};
}
