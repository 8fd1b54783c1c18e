/**
 * The operations by name, for help and for the advice after a mistyped command. The daemon alone decides what it knows: a
 * name that stands nowhere here is sent all the same.
 */
export const operationNames: readonly string[] = [
	'restart',
	'restart_service',
	'start_rollout',
	'system_information',
	'set_status',
	'get_status',
	'clear_status',
	'get_job',
	'get_rollout',
	'list_rollouts',
	'pause_rollout',
	'resume_rollout',
	'abort_rollout',
	'admit_node',
	'cluster_status',
	'list_workers',
	'read_logs',
	'node_status',
	'add_user',
	'alter_user',
	'drop_user',
	'list_users',
	'create_token',
	'list_tokens',
	'drop_token',
	'read_audit',
	'create_authentication_tokens',
	'refresh_operation_token',
];
