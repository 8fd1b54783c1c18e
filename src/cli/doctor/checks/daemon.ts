import {
	type Check,
	type Examination,
	type Finding,
	ok,
	unseen,
	warning,
	withConfig,
	withDaemon,
	wrong,
} from '../types.js';

function daemonAnswers({ daemon, daemonFault }: Examination): Finding[] {
	if (daemon !== null) return [ok(`the daemon of node ${daemon.cluster.node} answers`)];
	return [unseen(`${daemonFault ?? 'the daemon does not answer'} Then more can be seen.`)];
}

const readiness = withDaemon(({ ready, reasons }) =>
	ready
		? [ok('the node is ready')]
		: [wrong(`the node is not ready: ${reasons.join('; ') || 'no reason is given'}`, 'rollcall status')],
);

const notes = withDaemon((daemon) =>
	daemon.notes.length === 0
		? [ok('the daemon has nothing to say')]
		: daemon.notes.map((note) => warning(note, 'rollcall status')),
);

const workers = withDaemon((daemon) => {
	const apps = [...new Set(daemon.workers.map(({ app }) => app))];
	return apps.map((app) => {
		const rows = daemon.workers.filter((row) => row.app === app);
		const healthy = rows.filter((row) => row.healthy).length;
		const failed = rows.filter(({ state }) => state === 'failed').length;
		const text = `${app}: ${healthy} of ${rows.length} workers are healthy`;
		if (healthy === rows.length) return ok(text);
		const command = `rollcall logs ${app}   # then rollcall restart_service service=http_workers app=${app}`;
		return healthy === 0 || failed > 0 ? wrong(text, command) : warning(text, command);
	});
});

const crashesNamed = 3;

const crashes = withDaemon((daemon) => {
	const crashing = daemon.workers.filter(({ restarts }) => restarts >= crashesNamed);
	if (crashing.length === 0) return [ok('no worker has crashed often')];
	return crashing.map(({ app, id, restarts }) =>
		warning(`${id} has crashed ${restarts} times`, `rollcall logs ${app}`),
	);
});

const rollouts = withDaemon((daemon) => {
	const open = daemon.rollouts.filter(({ state }) => state === 'halted' || state === 'paused');
	if (open.length === 0) return [ok('no rollout is halted or paused')];
	return open.map(({ id, state, reason }) =>
		warning(`rollout ${id} is ${state}${reason === null ? '' : `: ${reason}`}`, `rollcall rollout resume ${id}`),
	);
});

const daemonVersion = withDaemon(({ cluster }, { version }) => {
	const own = cluster.nodes.find(({ link }) => link === 'self')?.version ?? null;
	if (own === null || own === version) return [ok(`the daemon runs ${own ?? 'an unknown version'}`)];
	return [warning(`the daemon runs ${own}, this command is ${version}`, 'systemctl restart rollcall')];
});

/** Without users, the operations API over TCP refuses every request. */
const users = withConfig(({ operations_api: { http } }, { daemon }) => {
	if (http === undefined) return [];
	if (daemon === null || daemon.users === null) return [unseen('the users cannot be listed')];
	if (daemon.users > 0) return [ok(`${daemon.users} users`)];
	return [
		warning(
			'operations_api.http is on, and there is no user who may use it',
			'rollcall add_user --fields new-user.json',
		),
	];
});

/** What the file would bring and take at the next roll. */
const unrolled = withDaemon((daemon, { config }) => {
	if (config === null) return [unseen('it needs a configuration that checks; see configuration')];
	const running = new Set(daemon.workers.map(({ app }) => app));
	const added = config.http_workers.map(({ name }) => name).filter((name) => !running.has(name));
	const removed = [...running].filter((name) => !config.http_workers.some((app) => app.name === name));
	if (added.length + removed.length === 0) return [ok('the apps of the file run')];
	const parts = [...added.map((name) => `${name} would come`), ...removed.map((name) => `${name} would go`)];
	return [
		warning(`the file has not been rolled: ${parts.join(', ')}`, 'rollcall rollout plan; rollcall rollout start'),
	];
});

export const daemonChecks: readonly Check[] = [
	{ name: 'daemon', look: daemonAnswers },
	{ name: 'daemon-version', look: daemonVersion },
	{ name: 'readiness', look: readiness },
	{ name: 'notes', look: notes },
	{ name: 'workers', look: workers },
	{ name: 'crashes', look: crashes },
	{ name: 'rollouts', look: rollouts },
	{ name: 'unrolled-apps', look: unrolled },
	{ name: 'users', look: users },
];
