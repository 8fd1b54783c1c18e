import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { type LoadedConfig, loadConfig } from '../../config/load.js';
import { hostUsers } from '../../config/checks/hooks.js';
import { appUserDefault, controlUser } from '../../config/checks/system-users.js';
import { RollcallError } from '../../errors.js';
import { canOpenDatagrams } from '../../system/systemd/datagram.js';
import { readBundle } from '../fleet/bundle.js';
import { bundleSteps, forThisHost, type InstalledBundle } from './bundle.js';
import { programFolder, programSteps } from './release.js';
import {
	askCommand,
	command,
	exists,
	file,
	fileOnce,
	folder,
	link,
	noted,
	readable,
	removal,
	type Step,
	type StepOutcome,
	takeSteps,
} from './steps.js';
import { configFileDefault } from '../client/places.js';
import type { Context } from '../context.js';
import { writeMessage, writeResult } from '../output/terminal.js';

/** Where things are put: the vendor's folders, so that an operator's changes below /etc are never overwritten. */
const place = {
	program: '/usr/lib/rollcall',
	releases: '/usr/lib/rollcall-releases',
	/** The Debian package's own copy, which its maintainer scripts install from. */
	debian: '/usr/lib/rollcall-package',
	command: '/usr/local/bin/rollcall',
	units: '/usr/lib/systemd/system',
	sysusers: '/usr/lib/sysusers.d/rollcall.conf',
	tmpfiles: '/usr/lib/tmpfiles.d/rollcall.conf',
	configFolder: '/etc/rollcall',
	/** What the worker hosts may read of the configuration: neither secrets nor other apps' environments. */
	workersConfig: '/etc/rollcall/workers.yaml',
	state: '/var/lib/rollcall',
	workers: '/var/lib/rollcall-workers',
};
const serviceNames = ['rollcall.service', 'rollcall-workers@.service'];
const unitNames = [...serviceNames, 'rollcall.socket'];
/** Whose members may pass into the homes of the worker hosts. */
const controlGroup = 'rollcall-control';
/** TimeoutStopSec= of rollcall-workers@.service. */
const unitStopSeconds = 90;
/** How much earlier ExecStopPost= kills remaining processes than systemd does; systemd would kill that command as well. */
const stopPostSeconds = 5;
/** What ending takes beside the drain itself: PM2 waits a little longer before it kills. */
const drainSlackSeconds = 20;

export interface InstallOptions {
	/** Becomes /etc/rollcall/rollcall.yaml if there is none yet. */
	configFile: string | null;
	/** Instead of it: a node's configuration, certificate and key. */
	bundle?: InstalledBundle | null;
	isDryRun: boolean;
	/** Start the units too. */
	now: boolean;
}

/** Puts Rollcall on this host: program, users, units, folders, and the units of every app user enabled. Idempotent. */
export async function installHost(options: InstallOptions): Promise<StepOutcome[]> {
	refuseUnlessPossible(options.isDryRun);
	refuseBesidePackage();
	if (options.now && !options.isDryRun && !isBooted()) {
		throw new RollcallError(
			'unavailable',
			'systemd does not run here, so that nothing can be started: without --now the units start at the first boot.',
		);
	}
	if (options.bundle) await refuseUnfitUsers(configuredUsers(wantedConfiguration(options.bundle)));
	const units = { changed: false };
	const tls = { changed: false };
	const outcomes = await takeSteps(fileSteps(options, units, tls), options.isDryRun);
	const config = readInstalled(options);
	const users = config ? hostUsers(config) : [];
	await refuseUnfitUsers(configuredUsers(config));
	const takeUp = tls.changed && options.bundle?.replacesConfiguration === false ? takeUpSteps() : [];
	const steps = [...(await unitSteps(config, users, options, units)), ...takeUp];
	return [...outcomes, ...(await takeSteps(steps, options.isDryRun))];
}

/** A daemon that runs takes up new certificates without a restart. */
const takeUpSteps = (): Step[] =>
	whenBooted([command(['systemctl', 'reload', 'rollcall.service'], async () => !(await isActive('rollcall.service')))]);

function fileSteps(
	{ configFile, bundle }: InstallOptions,
	units: { changed: boolean },
	tls: { changed: boolean },
): Step[] {
	const own = (name: string): string => readFileSync(join(programFolder, 'systemd', name), 'utf8');
	const open = { mode: 0o644 };
	return [
		...programSteps(place.program, place.releases),
		// A package has /usr/bin/rollcall and leaves /usr/local to the operator.
		...(exists(place.debian) ? [] : [link(place.command, join(place.program, 'dist/src/main.js'))]),
		...noted(
			[
				...unitNames.map((name) => file(join(place.units, name), own(name), open)),
				...serviceNames.map((name) => startWithoutKoffi(name, own(name))),
			],
			units,
		),
		file(place.sysusers, own('sysusers.d/rollcall.conf'), open),
		file(place.tmpfiles, own('tmpfiles.d/rollcall.conf'), open),
		command(
			['systemd-sysusers', place.sysusers],
			async () => (await isUser(controlUser)) && (await isUser(appUserDefault)),
		),
		command(['systemd-tmpfiles', '--create', place.tmpfiles], () => exists(place.workers)),
		folder(place.configFolder, { mode: 0o755 }),
		...(bundle ? bundleSteps(bundle, tls) : []),
		...(configFile === null || resolve(configFile) === configFileDefault
			? []
			: [fileOnce(configFileDefault, resolve(configFile), { mode: 0o640, group: controlUser })]),
		readable(configFileDefault, controlUser),
	];
}

/** Where koffi cannot be loaded, a small program opens the sockets to systemd and the journal, and becomes the service. */
function startWithoutKoffi(unit: string, text: string): Step {
	const path = join(place.units, `${unit}.d`, 'notify.conf');
	if (canOpenDatagrams()) return removal(path);
	const [, start = ''] = /^ExecStart=(.*)$/m.exec(text) ?? [];
	const lines = [
		'# Made by rollcall install: the optional dependency koffi cannot be loaded on this host.',
		'[Service]',
		'ExecStart=',
		`ExecStart=${join(place.program, 'systemd/notify-exec')} ${start}`,
		'',
	];
	return file(path, lines.join('\n'), { mode: 0o644 });
}

/** The configuration that the units will use; null while there is none. */
function readInstalled({ configFile, bundle, isDryRun }: InstallOptions): LoadedConfig | null {
	if (isDryRun && bundle && wantedConfiguration(bundle)) return bundle.config;
	const path = existsSync(configFileDefault) || !isDryRun ? configFileDefault : configFile;
	if (path === null || !existsSync(path)) return null;
	// Root may read every secret, so this finds only faults that hold for every user.
	return loadConfig({ file: path, env: {}, underSystemd: true });
}

async function unitSteps(
	config: LoadedConfig | null,
	users: string[],
	options: InstallOptions,
	changes: { changed: boolean },
): Promise<Step[]> {
	// systemd itself does not notice a first drop-in: its list of folders is as old as its last reload.
	const reload = whenBooted([
		command(['systemctl', 'daemon-reload'], async () => !changes.changed && (await needsNoReload())),
	]);
	if (!config) return reload;
	const wanted = users.map((user) => `rollcall-workers@${user}.service`);
	const stale = (await workerUnits()).filter((unit) => !wanted.includes(unit));
	const units = ['rollcall.service', ...wanted];
	return [
		file(place.workersConfig, workersConfiguration(config), { mode: 0o644 }),
		...noted([longDrains(config)], changes),
		...reload,
		...stale.map((unit) => command(disabled(unit))),
		...units.map((unit) => command(['systemctl', 'enable', unit], () => isEnabled(unit))),
		...(options.now ? units.map((unit) => command(['systemctl', 'start', unit], () => isActive(unit))) : []),
	];
}

function workersConfiguration({ worker_dir, logging }: LoadedConfig): string {
	return [
		'# Made by rollcall install out of rollcall.yaml, for the worker hosts: they run as the users of the apps, who may not',
		'# read that file. After a change of worker_dir or logging run rollcall install again.',
		stringify({ worker_dir, logging: { max_size: `${logging.max_size / 1024}K`, keep: logging.keep } }),
	].join('\n');
}

/** The shipped unit allows 90 s to drain; apps that need longer get a drop-in. */
function longDrains({ http_workers }: LoadedConfig): Step {
	const path = join(place.units, 'rollcall-workers@.service.d', 'drain.conf');
	const drainMs = Math.max(0, ...http_workers.map((app) => app.drain.timeout));
	const stopSeconds = Math.ceil(drainMs / 1_000) + drainSlackSeconds;
	if (stopSeconds <= unitStopSeconds) return removal(path);
	const lines = [
		'# Made by rollcall install: the longest drain.timeout.',
		'[Service]',
		`TimeoutStopSec=${stopSeconds}s`,
		`Environment=STOP_TIMEOUT=${stopSeconds - stopPostSeconds}s`,
		'',
	];
	return file(path, lines.join('\n'), { mode: 0o644 });
}

/** Takes Rollcall off this host. Configuration, state and users stay, unless they are to go as well. */
export async function uninstallHost(options: { isDryRun: boolean; purge: boolean }): Promise<StepOutcome[]> {
	refuseUnlessPossible(options.isDryRun);
	if (exists(place.debian)) {
		throw new RollcallError(
			'unavailable',
			`Rollcall is here as a Debian package: apt ${options.purge ? 'purge' : 'remove'} rollcall`,
		);
	}
	// The control plane first, so that it starts nothing again; then each worker host drains its workers.
	const units = ['rollcall.socket', 'rollcall.service', ...(await workerUnits())];
	const gone = async (unit: string): Promise<boolean> => !(await isEnabled(unit)) && !(await isActive(unit));
	const steps = [
		...units.map((unit) => command(disabled(unit), () => gone(unit))),
		...[...unitNames, ...serviceNames.map((name) => `${name}.d`)].map((name) => removal(join(place.units, name))),
		...[place.sysusers, place.tmpfiles, place.command, place.program, place.releases].map(removal),
		...whenBooted([command(['systemctl', 'daemon-reload'], needsNoReload)]),
	];
	if (options.purge) {
		steps.push(...[place.configFolder, place.state, place.workers, '/run/rollcall'].map(removal));
		for (const user of [controlUser, appUserDefault]) {
			steps.push(command(['userdel', user], async () => !(await isUser(user))));
		}
		steps.push(
			command(['groupdel', controlGroup], async () => (await askCommand(['getent', 'group', controlGroup])) === ''),
		);
	}
	return takeSteps(steps, options.isDryRun);
}

/** Whether systemd runs here. Where it does not, in an image that is built, its programs change files alone. */
const isBooted = (): boolean => existsSync('/run/systemd/system');

const whenBooted = (steps: Step[]): Step[] => (isBooted() ? steps : []);

const disabled = (unit: string): string[] => ['systemctl', 'disable', ...(isBooted() ? ['--now'] : []), unit];

/** What dpkg has put here is upgraded and taken away by dpkg: two hands would take each other's files for their own. */
function refuseBesidePackage(): void {
	if (!exists(place.debian) || [place.debian, place.program].some(isProgram)) return;
	throw new RollcallError(
		'unavailable',
		'Rollcall is here as a Debian package: apt install ./rollcall_VERSION_all.deb, or apt remove rollcall first.',
	);
}

const isProgram = (path: string): boolean => existsSync(path) && realpathSync(path) === realpathSync(programFolder);

function refuseUnlessPossible(isDryRun: boolean): void {
	if (!isDryRun && !['/usr/bin/systemctl', '/bin/systemctl'].some((path) => existsSync(path))) {
		throw new RollcallError(
			'unavailable',
			'There is no systemd here; without it: rollcall daemon --config FILE, which starts its worker host itself.',
		);
	}
	if (process.getuid?.() !== 0 && !isDryRun) {
		throw new RollcallError(
			'forbidden',
			'This needs root: sudo rollcall install, or --dry-run to see what would be done.',
		);
	}
	if (!['/usr/local/bin/node', '/usr/bin/node'].some((path) => existsSync(path))) {
		throw new RollcallError(
			'unavailable',
			`The units look for node in /usr/local/bin and /usr/bin, where there is none: ln -s ${process.execPath} /usr/local/bin/node`,
		);
	}
}

const isUser = async (name: string): Promise<boolean> => (await askCommand(['id', '-u', name])) !== '';

/** Those that Rollcall does not make itself. */
const configuredUsers = (config: LoadedConfig | null): string[] =>
	config ? hostUsers(config).filter((user) => user !== appUserDefault) : [];

/** The configuration that will stand there once the bundle is installed. */
const wantedConfiguration = (bundle: InstalledBundle): LoadedConfig | null =>
	bundle.replacesConfiguration || !existsSync(configFileDefault) ? bundle.config : null;

async function refuseUnfitUsers(users: readonly string[]): Promise<void> {
	for (const user of users) {
		if (!(await isUser(user))) {
			const remedy = `useradd --system --shell /usr/sbin/nologin ${user}`;
			throw new RollcallError(
				'configuration',
				`http_workers names the user ${user}, whom this host does not know: ${remedy}`,
			);
		}
		// A unit's processes get all groups of its user, and these open the admin socket and the other apps' homes.
		const groups = (await askCommand(['id', '-nG', user])).split(' ');
		const group = groups.find((name) => name === controlUser || name === controlGroup);
		if (group === undefined) continue;
		const text = `http_workers names the user ${user}, a member of group ${group}: its apps would be super_user here.`;
		throw new RollcallError('configuration', `${text} Take it out: gpasswd -d ${user} ${group}`);
	}
}

/** Instances of rollcall-workers@ that are enabled or loaded. */
async function workerUnits(): Promise<string[]> {
	const listed = await askCommand(['systemctl', 'list-units', '--all', '--plain', '--no-legend', 'rollcall-workers@*']);
	const found = listed.split('\n').map((line) => line.trim().split(/\s+/)[0] ?? '');
	const wants = '/etc/systemd/system/rollcall.service.wants';
	const enabled = existsSync(wants) ? readdirSync(wants) : [];
	return [...new Set([...found, ...enabled])].filter((unit) => /^rollcall-workers@.+\.service$/.test(unit));
}

async function needsNoReload(): Promise<boolean> {
	const asked = await askCommand(['systemctl', 'show', '--property=NeedDaemonReload,LoadState', 'rollcall.service']);
	const isThere = exists(join(place.units, 'rollcall.service'));
	return asked.includes('NeedDaemonReload=no') && asked.includes(isThere ? 'LoadState=loaded' : 'LoadState=not-found');
}

const isEnabled = async (unit: string): Promise<boolean> =>
	(await askCommand(['systemctl', 'is-enabled', unit])) === 'enabled';
const isActive = async (unit: string): Promise<boolean> =>
	(await askCommand(['systemctl', 'is-active', unit])) === 'active';

/** The flags of `rollcall install`, as Commander hands them over. */
export interface InstallFlags {
	bundle?: string;
	dryRun?: boolean;
	force?: boolean;
	now?: boolean;
}

export async function install(context: Context<InstallFlags>): Promise<number> {
	const { options, terminal } = context;
	const isDryRun = options.dryRun === true;
	const bundle = bundleOf(options);
	const configFile = bundle === null ? (options.config ?? null) : null;
	const steps = await installHost({ configFile, bundle, isDryRun, now: options.now === true });
	writeResult(terminal, { steps }, () => textOf(steps));
	for (const remark of bundle?.remarks ?? []) writeMessage(terminal, remark);
	if (!isBooted()) {
		writeMessage(terminal, 'systemd does not run here: nothing is started, enabled units start at the next boot.');
	}
	if (isDryRun) return 0;
	if (!existsSync(configFileDefault)) {
		writeMessage(
			terminal,
			`There is no ${configFileDefault} yet: write one (rollcall init), then run rollcall install again.`,
		);
	} else if (!isBooted()) {
		return 0;
	} else if (options.now === true) {
		writeMessage(terminal, 'It is started. How it stands: rollcall status');
	} else {
		writeMessage(terminal, 'Start it: systemctl start rollcall. After an upgrade: systemctl restart rollcall.');
	}
	return 0;
}

/** The bundle, once it is known that this host may have it; null: none was given. */
function bundleOf({ bundle, config, force }: InstallFlags & { config?: string }): InstalledBundle | null {
	if (bundle === undefined) {
		if (force === true) throw new RollcallError('usage', '--force goes with --bundle.');
		return null;
	}
	if (config !== undefined) throw new RollcallError('usage', 'A bundle has its configuration: without --config.');
	return forThisHost(readBundle(bundle), dirname(configFileDefault), force === true);
}

export async function uninstall(context: Context<{ dryRun?: boolean; purge?: boolean }>): Promise<number> {
	const { options, terminal } = context;
	const steps = await uninstallHost({ isDryRun: options.dryRun === true, purge: options.purge === true });
	writeResult(terminal, { steps }, () => textOf(steps));
	if (options.purge !== true && options.dryRun !== true) {
		writeMessage(
			terminal,
			`${place.configFolder}, ${place.state}, ${place.workers} and the user ${controlUser} stay; --purge takes them too.`,
		);
	}
	return 0;
}

const textOf = (steps: readonly StepOutcome[]): string =>
	steps.map(({ text, outcome }) => `${outcome.padEnd(13)}  ${text}`).join('\n');
