import { dirname, join } from 'node:path';
import { hostUsers } from '../../../config/checks/hooks.js';
import { dayOf } from '../../../config/checks/certificates.js';
import { type Check, type Examination, type Finding, ok, unseen, warning, withConfig, wrong } from '../types.js';

const nodeLeast = [20, 19] as const;
/** When the Node project ends its releases of a major (UTC), by its published schedule. */
const endOfMajor: Readonly<Record<number, string>> = {
	20: '2026-04-30',
	22: '2027-04-30',
	24: '2028-04-30',
	26: '2029-04-30',
};
const warningMs = 90 * 24 * 60 * 60 * 1000;
/** Where the units find node: systemd's own PATH. */
const unitFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin'];
const newerNode = 'install Node 24 from your distribution or nodejs.org, then systemctl restart rollcall';

export const underSystemd = ({ host }: Examination): boolean => host.facts('/run/systemd/system') !== 'missing';
export const withoutSystemd = 'no systemd runs here';

function nodeVersion({ host }: Examination): Finding[] {
	const [major = 0, minor = 0] = host.nodeVersion.split('.').map(Number);
	const isNewEnough = major > nodeLeast[0] || (major === nodeLeast[0] && minor >= nodeLeast[1]);
	if (isNewEnough) return [ok(`Node ${host.nodeVersion}`)];
	return [wrong(`Node ${host.nodeVersion} is older than ${nodeLeast.join('.')}, which Rollcall needs`, newerNode)];
}

function nodeEnd({ host, now }: Examination): Finding[] {
	const major = Number(host.nodeVersion.split('.')[0]);
	const end = endOfMajor[major];
	if (end === undefined) {
		if (major % 2 === 0 && major > 26) return [ok(`Node ${major} is newer than this check's table`)];
		return [warning(`Node ${major} has no long-term support: it gets no fixes for long`, newerNode)];
	}
	const at = Date.parse(`${end}T00:00:00Z`);
	if (now >= at) return [warning(`Node ${major} had its end on ${end}: it gets no security fixes`, newerNode)];
	if (now >= at - warningMs) return [warning(`Node ${major} has its end on ${dayOf(at)}`, newerNode)];
	return [ok(`Node ${major} is supported until ${end}`)];
}

function nodeOfUnits(examination: Examination): Finding[] {
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	const path = examination.host.find('node', unitFolders);
	if (path !== null) return [ok(`the units run ${path}`)];
	const text = `the units find no node: it has to be in ${unitFolders.join(', ')}`;
	return [wrong(text, `ln -s ${process.execPath} /usr/local/bin/node`)];
}

const tool = (name: string, program: string, why: string, debian: string): Check => ({
	name,
	look: ({ host }) => {
		const path = host.find(program);
		return [path === null ? warning(`${program} is not on PATH: ${why}`, `apt-get install ${debian}`) : ok(path)];
	},
});

function systemd(examination: Examination): Finding[] {
	if (underSystemd(examination)) return [ok('systemd runs')];
	const text = 'no systemd runs: nothing starts Rollcall after a boot, and all workers run as the user of the daemon';
	return [warning(text, `rollcall daemon --config ${examination.configFile}`)];
}

/** The units of the control plane and of the app users. */
const unitsOf = ({ config }: Examination): string[] => [
	'rollcall.service',
	...(config ? hostUsers(config).map((user) => `rollcall-workers@${user}.service`) : []),
];

async function forUnits(
	examination: Examination,
	property: string,
	judge: (unit: string, value: string) => Finding,
): Promise<Finding[]> {
	if (!underSystemd(examination)) return [unseen(withoutSystemd)];
	return await Promise.all(
		unitsOf(examination).map(async (unit) => {
			const value = await examination.host.run('systemctl', 'show', '--property', property, '--value', unit);
			return value === null ? unseen(`systemctl does not answer for ${unit}`) : judge(unit, value);
		}),
	);
}

const unitsEnabled = (examination: Examination) =>
	forUnits(examination, 'UnitFileState', (unit, value) => {
		if (value === 'enabled') return ok(`${unit} is enabled`);
		if (value === '') return warning(`${unit} is not installed`, 'rollcall install');
		return warning(`${unit} is ${value}: it does not start after a boot`, `systemctl enable ${unit}`);
	});

const unitsActive = (examination: Examination) =>
	forUnits(examination, 'ActiveState', (unit, value) => {
		if (value === 'active') return ok(`${unit} is active`);
		if (value === 'failed')
			return wrong(`${unit} has failed`, `journalctl -u ${unit} -n 50; systemctl restart ${unit}`);
		return warning(`${unit} is ${value}`, `systemctl start ${unit}`);
	});

async function clockSynchronized({ host }: Examination): Promise<Finding[]> {
	const value = await host.run('timedatectl', 'show', '--property', 'NTPSynchronized', '--value');
	if (value === 'yes') return [ok('the clock is kept right')];
	if (value !== 'no') return [unseen('timedatectl does not say whether the clock is kept right')];
	return [
		warning('nothing keeps the clock of this host right: times that are shown drift', 'timedatectl set-ntp true'),
	];
}

interface Pm2Daemon {
	version: string;
	home: string;
}

const pm2Daemons = ({ host }: Examination): Pm2Daemon[] =>
	host.commandLines().flatMap((line) => {
		const [, version, home] = /^PM2 v(\S+): God Daemon \((.*)\)$/.exec(line) ?? [];
		return version === undefined || home === undefined ? [] : [{ version, home }];
	});

const versionIn = ({ host }: Examination, file: string): string | null => {
	try {
		return (JSON.parse(host.readText(file) ?? 'null') as { version?: string } | null)?.version ?? null;
	} catch {
		return null;
	}
};

/** PM2 drives a daemon of another version without a word. */
function pm2OnPath(examination: Examination): Finding[] {
	const own = ownPm2(examination);
	const path = examination.host.find('pm2');
	if (path === null) return [ok('no pm2 is on PATH beside the one that Rollcall brings')];
	const version = versionIn(examination, join(dirname(dirname(path)), 'package.json'));
	if (version === null || version === own) return [ok(`the pm2 on PATH is ${version ?? 'of unknown version'}`)];
	const text = `the pm2 on PATH is ${version}, Rollcall's is ${own ?? 'unknown'}: do not use it on Rollcall's worker hosts`;
	return [warning(text, 'npm uninstall -g pm2')];
}

const ownPm2File = new URL('../../../../../node_modules/pm2/package.json', import.meta.url).pathname;
const ownPm2 = (examination: Examination): string | null => versionIn(examination, ownPm2File);

const pm2Hosts = withConfig(({ worker_dir }, examination) => {
	const own = ownPm2(examination);
	const hosts = pm2Daemons(examination).filter(({ home }) => home.startsWith(`${worker_dir}/`));
	const others = hosts.filter(({ version }) => version !== own);
	if (hosts.length === 0) return [unseen(`no worker host below ${worker_dir} can be seen`)];
	if (own === null || others.length === 0) return [ok(`${hosts.length} worker hosts run PM2 ${own ?? ''}`.trimEnd())];
	return others.map(({ home, version }) =>
		warning(`the worker host in ${home} runs PM2 ${version}, this Rollcall has ${own}`, 'rollcall restart'),
	);
});

const otherPm2 = withConfig(({ worker_dir }, examination) => {
	const others = pm2Daemons(examination).filter(({ home }) => !home.startsWith(`${worker_dir}/`));
	if (others.length === 0) return [ok('no other PM2 runs on this host')];
	return others.map(({ home }) =>
		warning(`another PM2 runs in ${home}: its apps may hold the ports of yours`, `PM2_HOME=${home} pm2 kill`),
	);
});

export const softwareChecks: readonly Check[] = [
	{ name: 'node-version', look: nodeVersion },
	{ name: 'node-end-of-life', look: nodeEnd },
	{ name: 'node-of-units', look: nodeOfUnits },
	tool('openssl', 'openssl', 'rollcall ca needs it', 'openssl'),
	tool('flock', 'flock', 'a daemon cannot lock its state folder', 'util-linux'),
	{ name: 'systemd', look: systemd },
	{ name: 'units-enabled', look: unitsEnabled },
	{ name: 'units-active', look: unitsActive },
	{ name: 'clock-synchronized', look: clockSynchronized },
	{ name: 'pm2-on-path', look: pm2OnPath },
	{ name: 'pm2-of-worker-hosts', look: pm2Hosts },
	{ name: 'other-pm2', look: otherPm2 },
];
