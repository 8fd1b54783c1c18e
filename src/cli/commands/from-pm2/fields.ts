/** The fields of an app in PM2's configuration file. */

/** Other spellings that PM2 takes, by the canonical one. */
const aliases: Readonly<Record<string, readonly string[]>> = {
	script: ['exec', 'cmd', 'command'],
	args: ['script_args', 'scriptArgs'],
	interpreter: ['exec_interpreter', 'execInterpreter'],
	node_args: ['interpreter_args', 'interpreterArgs', 'nodeArgs'],
	exec_mode: ['execMode'],
	out_file: ['out', 'output', 'out_log', 'outFile'],
	error_file: ['error', 'err', 'err_file', 'err_log', 'errFile', 'errorFile'],
	log_file: ['log', 'logFile'],
	log_date_format: ['logDateFormat', 'log_format'],
	pid_file: ['pid', 'pidFile'],
	cron_restart: ['cron', 'cronRestart'],
	merge_logs: ['combine_logs', 'mergeLogs', 'combineLogs'],
	uid: ['user'],
	max_memory_restart: ['maxMemoryRestart'],
	kill_timeout: ['killTimeout'],
	listen_timeout: ['listenTimeout'],
	wait_ready: ['waitReady'],
	restart_delay: ['restartDelay'],
	ignore_watch: ['ignoreWatch'],
	watch_delay: ['watchDelay'],
	watch_options: ['watchOptions'],
	source_map_support: ['sourceMapSupport'],
	max_restarts: ['maxRestarts'],
	min_uptime: ['minUptime'],
};

const canonicalNames = new Map(
	Object.entries(aliases).flatMap(([name, others]) => others.map((other) => [other, name] as const)),
);

export const canonicalName = (field: string): string => canonicalNames.get(field) ?? field;

/** Fields that other files of this folder take over. */
export const counterparts: ReadonlySet<string> = new Set([
	...['name', 'name_prefix', 'script', 'args', 'interpreter', 'node_args', 'cwd', 'execute_command', 'exec_mode'],
	...['instances', 'increment_var', 'instance_var', 'env', 'env_file', 'port', 'filter_env', 'uid', 'autorestart'],
	...[
		'autostart',
		'cron_restart',
		'max_memory_restart',
		'kill_timeout',
		'listen_timeout',
		'wait_ready',
		'max_restarts',
	],
	...['source_map_support', 'disable_source_map_support'],
]);

const logs = 'logs lie in worker_dir and turn over by logging.max_size and logging.keep; rollcall logs shows them';
const watching = 'nothing is restarted because a file changed: roll a release with rollcall rollout start';
const backOff = 'a worker that crashes is started again with a growing pause; crash_loop says when it is given up';
const agent = 'no agent of PM2 Plus runs inside the workers';
const pm2Only = 'it steers PM2 itself, which Rollcall drives';

/** Fields without a counterpart, and why. */
export const withoutCounterpart: Readonly<Record<string, string>> = {
	namespace: 'apps have names alone; rollcall rollout start APP rolls one',
	install_url: pm2Only,
	out_file: logs,
	error_file: logs,
	log_file: logs,
	disable_logs: logs,
	log_type: 'a line is kept as the app writes it: let the app write JSON',
	log_date_format: 'a line is kept as the app writes it, without a time in front: let the app write one',
	time: 'a line is kept as the app writes it, without a time in front: let the app write one',
	merge_logs: 'each worker has a log of its own; rollcall logs APP shows those of all',
	pid_file: 'rollcall workers --json names the processes',
	restart_delay: backOff,
	exp_backoff_restart_delay: backOff,
	min_uptime: 'crashes are counted over crash_loop.period, however long a worker was up',
	stop_exit_codes: 'a worker that ends is started again, whatever its exit code',
	watch: watching,
	ignore_watch: watching,
	watch_delay: watching,
	watch_options: watching,
	shutdown_with_message: 'a drained worker gets SIGTERM: let the app handle that instead of the message',
	treekill: "systemd ends a service's whole control group",
	kill_retry_time: pm2Only,
	force: 'an app has a name, and each name is there once',
	append_env_to_name: 'the name stays as it is on every host',
	post_update: 'Rollcall copies nothing: run these commands before the roll, where you bring the release to the host',
	trace: agent,
	disable_trace: agent,
	v8: agent,
	event_loop_inspector: agent,
	deep_monitoring: agent,
	pmx: agent,
	automation: agent,
	io: agent,
	vizion: 'the release that a worker runs is told by its path: rollcall workers',
	username: 'PM2 sets it itself',
	gid: 'a worker has the groups of its user',
	windowsHide: 'Rollcall runs on Linux',
	write: pm2Only,
};

/** Sections beside `apps`, and why they have no counterpart. */
export const sectionsWithoutCounterpart: Readonly<Record<string, string>> = {
	deploy:
		'Rollcall copies nothing: bring the release to every host, point the link in script at it, then rollcall rollout start',
	include: 'PM2 itself does not document it; name each file in a run of its own',
};
