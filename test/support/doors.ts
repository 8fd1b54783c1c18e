import type { Access } from '../../src/operations/types.js';

/** Everyone who may knock: without credentials over TCP, over the socket, by password, and by each kind of token. */
export type CallerName =
	| 'nothing'
	| 'socket'
	| 'super_user'
	| 'viewer'
	| 'super_user_token'
	| 'viewer_token'
	| 'refresh_token';

/** What each operation needs, written down apart from the table: a new row without a line here fails. */
export const accessOf: Record<string, Access> = {
	restart: 'super_user',
	restart_service: 'super_user',
	system_information: 'super_user',
	set_status: 'super_user',
	get_status: 'super_user',
	clear_status: 'super_user',
	get_job: 'super_user',
	get_rollout: 'viewer',
	list_rollouts: 'viewer',
	pause_rollout: 'super_user',
	resume_rollout: 'super_user',
	abort_rollout: 'super_user',
	admit_node: 'super_user',
	cluster_status: 'viewer',
	list_workers: 'viewer',
	add_user: 'super_user',
	alter_user: 'super_user',
	drop_user: 'super_user',
	list_users: 'super_user',
	create_authentication_tokens: 'anyone',
	refresh_operation_token: 'refresh_token',
};

/** Who comes through the door, by what the operation needs; everyone else gets the status. */
export const doors: Record<Access, Record<CallerName, 'in' | 401 | 403>> = {
	super_user: {
		nothing: 401,
		socket: 'in',
		super_user: 'in',
		viewer: 403,
		super_user_token: 'in',
		viewer_token: 403,
		refresh_token: 401,
	},
	viewer: {
		nothing: 401,
		socket: 'in',
		super_user: 'in',
		viewer: 'in',
		super_user_token: 'in',
		viewer_token: 'in',
		refresh_token: 401,
	},
	anyone: {
		nothing: 'in',
		socket: 'in',
		super_user: 'in',
		viewer: 'in',
		super_user_token: 'in',
		viewer_token: 'in',
		refresh_token: 401,
	},
	refresh_token: {
		nothing: 401,
		socket: 401,
		super_user: 401,
		viewer: 401,
		super_user_token: 401,
		viewer_token: 401,
		refresh_token: 'in',
	},
};
