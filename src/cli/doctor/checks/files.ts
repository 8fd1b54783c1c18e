import { dirname } from 'node:path';
import { hostUsers } from '../../../config/checks/hooks.js';
import { appUserDefault, controlUser } from '../../../config/checks/system-users.js';
import type { LoadedConfig } from '../../../config/load.js';
import { shellWord } from '../../output/format.js';
import {
	type Check,
	type Examination,
	type Finding,
	type Host,
	ok,
	unseen,
	warning,
	withConfig,
	wrong,
} from '../types.js';
import { underSystemd, withoutSystemd } from './software.js';

const controlGroup = 'rollcall-control';
const modeText = (mode: number): string => mode.toString(8).padStart(4, '0');

function configuration({ config, configFile, configurationFault }: Examination): Finding[] {
	if (config !== null) return [ok(`${configFile} checks`)];
	return [wrong(configurationFault ?? 'it cannot be read', `rollcall validate --config ${shellWord(configFile)}`)];
}

/** The environments of the apps stand in it. */
function configurationMode({ host, configFile }: Examination): Finding[] {
	const facts = host.facts(configFile);
	if (typeof facts === 'string') return [unseen(`${configFile} is ${facts}`)];
	if ((facts.mode & 0o007) === 0) return [ok(`mode ${modeText(facts.mode)}`)];
	const text = `${configFile} has mode ${modeText(facts.mode)}: others may read what apps keep secret`;
	return [warning(text, `chmod o-rwx ${shellWord(configFile)}`)];
}

const scripts = withConfig(({ http_workers }, { host }) =>
	http_workers.map(({ name, script }) => {
		const facts = host.facts(script);
		if (facts === 'denied') return unseen(`${name}: this user may not look at ${script}`);
		if (typeof facts !== 'string' && facts.kind === 'file') return ok(`${name}: ${script}`);
		return wrong(`${name}: ${script} is no file, so no worker can start`, `ls -lL ${shellWord(script)}`);
	}),
);

const appFolders = withConfig(({ http_workers }, { host }) =>
	http_workers.map(({ name, cwd }) => {
		const facts = host.facts(cwd);
		if (facts === 'denied') return unseen(`${name}: this user may not look at ${cwd}`);
		if (typeof facts !== 'string' && facts.kind === 'folder') return ok(`${name}: ${cwd}`);
		return wrong(`${name}: ${cwd} is no folder, so no worker can start in it`, `install -d ${shellWord(cwd)}`);
	}),
);

const interpreters = withConfig(({ http_workers }, { host }) =>
	http_workers
		.filter(({ interpreter }) => interpreter !== 'node')
		.map(({ name, interpreter }) => {
			const isPath = interpreter.includes('/');
			const folders = isPath ? [dirname(interpreter)] : undefined;
			const found = host.find(interpreter.split('/').at(-1) ?? interpreter, folders);
			if (found !== null) return ok(`${name}: ${found}`);
			return wrong(`${name}: its interpreter ${interpreter} is not there`, `command -v ${shellWord(interpreter)}`);
		}),
);

const stateFolder = withConfig(({ state_dir }, { host }) => {
	const facts = host.facts(state_dir);
	const at = shellWord(state_dir);
	if (facts === 'denied') return [unseen(`this user may not look at ${state_dir}`)];
	if (facts === 'missing') return [unseen(`${state_dir} is not there yet: the daemon makes it`)];
	if (facts.kind !== 'folder') return [wrong(`${state_dir} is no folder`, `mv ${at} ${at}.aside`)];
	if ((facts.mode & 0o077) === 0) return [ok(`${state_dir}, mode ${modeText(facts.mode)}`)];
	const text = `${state_dir} has mode ${modeText(facts.mode)}: users and records are not the daemon's alone`;
	return [wrong(text, `chmod 700 ${at}`)];
});

const workerFolder = withConfig(({ worker_dir }, { host }) => {
	const facts = host.facts(worker_dir);
	const at = shellWord(worker_dir);
	if (facts === 'denied') return [unseen(`this user may not look at ${worker_dir}`)];
	if (facts === 'missing') return [unseen(`${worker_dir} is not there yet: rollcall install or the daemon makes it`)];
	if (facts.kind !== 'folder') return [wrong(`${worker_dir} is no folder`, `mv ${at} ${at}.aside`)];
	if ((facts.mode & 0o022) === 0) return [ok(`${worker_dir}, mode ${modeText(facts.mode)}`)];
	const text = `${worker_dir} has mode ${modeText(facts.mode)}: others may put sockets into it`;
	return [wrong(text, `chmod go-w ${at}`)];
});

const adminSocket = withConfig(({ operations_api: { socket } }, { host }) => {
	const facts = host.facts(socket.path);
	if (facts === 'denied') return [unseen(`this user may not look at ${socket.path}`)];
	if (facts === 'missing') return [unseen(`${socket.path} is not there: no daemon listens`)];
	const at = shellWord(socket.path);
	if (facts.kind !== 'socket') return [wrong(`${socket.path} is no socket`, `rm ${at} && systemctl restart rollcall`)];
	if (facts.mode === socket.mode) return [ok(`${socket.path}, mode ${modeText(facts.mode)}`)];
	const text = `${socket.path} has mode ${modeText(facts.mode)}, not ${modeText(socket.mode)}: who may write to it is super_user`;
	return [wrong(text, `chmod ${modeText(socket.mode)} ${at}`)];
});

const idsIn = ({ readText }: Host, file: string): Map<string, { id: number; members: string[] }> =>
	new Map(
		(readText(file) ?? '').split('\n').flatMap((line) => {
			const [name = '', , id = '', members = ''] = line.split(':');
			return name === '' ? [] : [[name, { id: Number(id), members: members.split(',') }] as const];
		}),
	);

const appUsers = withConfig((config, examination) => {
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	const users = idsIn(examination.host, '/etc/passwd');
	return hostUsers(config).map((user) => {
		if (users.has(user)) return ok(`user ${user}`);
		const command = user === appUserDefault ? 'rollcall install' : `useradd --system --shell /usr/sbin/nologin ${user}`;
		return wrong(`there is no user ${user}, as whom workers or hooks run`, command);
	});
});

function controlUsers(examination: Examination): Finding[] {
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	const { host } = examination;
	if (!idsIn(host, '/etc/passwd').has(controlUser)) {
		return [wrong(`there is no user ${controlUser}, as whom the control plane runs`, 'rollcall install')];
	}
	const group = idsIn(host, '/etc/group').get(controlGroup);
	if (group?.members.includes(controlUser) === true) return [ok(`user ${controlUser}, group ${controlGroup}`)];
	const text = `user ${controlUser} is not in group ${controlGroup}, so it cannot reach the worker hosts`;
	return [wrong(text, 'rollcall install')];
}

const secretFiles = ({ cluster, operations_api: { http } }: LoadedConfig): string[] =>
	[cluster?.tls?.key, cluster?.secret_file, http?.tls?.key].filter((file) => file !== undefined);

/** A key that root alone may read is found out when the unit starts, or at the next renewal. */
const keysForUnits = withConfig((config, examination) => {
	const { host } = examination;
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	const id = idsIn(host, '/etc/passwd').get(controlUser)?.id;
	const group = idsIn(host, '/etc/group').get(controlUser)?.id;
	if (id === undefined) return [unseen(`there is no user ${controlUser} yet`)];
	return secretFiles(config).map((file) => {
		const facts = host.facts(file);
		if (typeof facts === 'string') return unseen(`${file} is ${facts}`);
		const mayRead = facts.uid === id ? (facts.mode & 0o400) !== 0 : facts.gid === group && (facts.mode & 0o040) !== 0;
		if (mayRead) return ok(`${controlUser} may read ${file}`);
		const at = shellWord(file);
		return wrong(`user ${controlUser} may not read ${file}`, `chgrp ${controlUser} ${at} && chmod 640 ${at}`);
	});
});

const secretModes = withConfig((config, { host }) =>
	[...secretFiles(config), ...config.http_workers.flatMap(({ env_file: file }) => file ?? [])].map((file) => {
		const facts = host.facts(file);
		if (typeof facts === 'string') return unseen(`${file} is ${facts}`);
		if ((facts.mode & 0o007) === 0) return ok(`${file}, mode ${modeText(facts.mode)}`);
		return wrong(`others may read ${file}, mode ${modeText(facts.mode)}`, `chmod o-rwx ${shellWord(file)}`);
	}),
);

/** A host may be left with a copy that the unit does not use. */
function workersConfiguration(examination: Examination): Finding[] {
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	const path = '/etc/rollcall/workers.yaml';
	const { host, config } = examination;
	if (config === null || config.http_workers.length === 0) return [];
	if (host.facts(path) !== 'missing') return [ok(path)];
	return [warning(`${path} is not there, by which the worker hosts run`, 'rollcall install')];
}

export const fileChecks: readonly Check[] = [
	{ name: 'configuration', look: configuration },
	{ name: 'configuration-mode', look: configurationMode },
	{ name: 'workers-configuration', look: workersConfiguration },
	{ name: 'app-scripts', look: scripts },
	{ name: 'app-folders', look: appFolders },
	{ name: 'app-interpreters', look: interpreters },
	{ name: 'state-folder', look: stateFolder },
	{ name: 'worker-folder', look: workerFolder },
	{ name: 'admin-socket', look: adminSocket },
	{ name: 'app-users', look: appUsers },
	{ name: 'control-user', look: controlUsers },
	{ name: 'keys-for-units', look: keysForUnits },
	{ name: 'secret-modes', look: secretModes },
];
