/**
 * Composition root of the control plane: builds the rooms, starts them in order, stops them in reverse, and hands one
 * room's functions to another. No rule of the project stands here.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { toWorkerApps } from '../config/apps.js';
import { loadAtStart, type StandIn } from '../config/last-good.js';
import { isUnderSystemd, type LoadedConfig } from '../config/load.js';
import { appUserDefault } from '../config/checks/system-users.js';
import { Certificates } from './certificates.js';
import { DiskSpace, writtenFolders } from './disk-space.js';
import { checkNamedFiles, ConfigurationFile } from './configuration-file.js';
import { ensureFolder, requireUnexchangeable } from './folders.js';
import { createLocalNode } from './local-node.js';
import { currentRollout, observe } from './telling/observe.js';
import { Standing } from './availability.js';
import { statusLine, tellStatusLine } from './telling/status-line.js';
import { openWebhooks } from './telling/webhooks.js';
import { Reload } from './reload.js';
import { spawnSuccessor } from './successor.js';
import { openFleet } from '../fleet/fleet.js';
import type { Fleet, OpenedFleet } from '../fleet/types.js';
import { messageOf, RollcallError } from '../errors.js';
import { acquireLock, nameHolder } from '../system/files/process-lock.js';
import { createLogger, type Logger } from '../log.js';
import { Statuses } from '../operations/statuses.js';
import { type Access, openAccess } from '../server/access/access.js';
import { type Audit, openAudit } from '../server/audit.js';
import { detailsOf, judgeReadiness, type ReadinessFacts, type ReadinessReport } from '../server/readiness.js';
import { createServer } from '../server/server.js';
import type { Server } from '../server/types.js';
import { createSystemInformation, type SystemInformation } from '../system/information/information.js';
import { inheritedListeners } from '../system/systemd/listeners.js';
import { createMetrics, type Metrics } from '../system/metrics.js';
import { createNotifier, type Notifier, serviceVariables } from '../system/systemd/notify.js';
import { socketAnswers, startWatchdog, storageAnswers } from '../system/systemd/watchdog.js';
import { releasesOf } from '../workers/pool/rows.js';
import { createSupervisor } from '../workers/supervisor.js';
import type { Supervisor, WorkerApp } from '../workers/types.js';

/** Why a daemon ends by its own will. */
type Ending = 'stop' | 'restart';

interface Surroundings {
	config: LoadedConfig;
	/** Not null: `config` is the last good one, since the file does not check. */
	standIn: StandIn | null;
	/** What the process was started with, secrets included: the configuration is read again with it, and a successor gets it. */
	environment: NodeJS.ProcessEnv;
	underSystemd: boolean;
	logger: Logger;
	notifier: Notifier;
}

/** Never handed to a child process: the first user's and a caller's credentials, and what the service manager said to this process alone. */
const ownVariables = [
	'ROLLCALL_ADMIN_USERNAME',
	'ROLLCALL_ADMIN_PASSWORD',
	'ROLLCALL_USERNAME',
	'ROLLCALL_PASSWORD',
	'ROLLCALL_TOKEN',
	...serviceVariables,
];

/** Longest wait for one who only looks whether the lock is held, as `rollcall stop` does, or who is just leaving. */
const lockWaitMs = 500;

/** Runs the control plane in the foreground; resolves when it has ended by a signal or by `restart`. */
export async function runDaemon({ configFile }: { configFile: string }): Promise<void> {
	const environment = { ...process.env };
	const { config, standIn } = loadAtStart({ file: configFile, env: environment }, checkNamedFiles);
	for (const name of ownVariables) delete process.env[name];
	const underSystemd = isUnderSystemd(environment);
	const logger = createLogger(config.logging.level, { node: config.node.name }, environment);
	const notifier = createNotifier(environment, (message) => logger.warn({ event: 'notify', message }));
	process.umask(0o077);
	ensureFolder(config.state_dir, 0o700, 'state_dir');
	requireUnexchangeable(config.worker_dir, 'worker_dir');
	const lockFile = join(config.state_dir, 'lock');
	const lock = await acquireLock(lockFile, { node: config.node.name }, lockWaitMs);
	let ending: Ending;
	try {
		ending = await runNode({ config, standIn, environment, underSystemd, logger, notifier });
	} finally {
		lock.release();
	}
	if (ending !== 'restart' || underSystemd) return;
	const successor = spawnSuccessor(environment);
	if (successor !== null) nameHolder(lockFile, successor, { node: config.node.name });
}

async function runNode(surroundings: Surroundings): Promise<Ending> {
	const { logger, notifier } = surroundings;
	const began = performance.now();
	const node = new ControlPlane(surroundings);
	const signalled = new Promise<Ending>((resolve) => {
		// A second SIGTERM changes nothing, since two may stop it at once; a second Ctrl-C ends what hangs.
		process.on('SIGTERM', () => resolve('stop'));
		process.once('SIGINT', () => resolve('stop'));
	});
	try {
		await node.open();
		const started = node.start().then(() => {
			logger.info({ event: 'started', ms: Math.round(performance.now() - began), ...node.addresses });
			notifier.ready();
		});
		// A start that fails ends the daemon; one that goes well is no reason to.
		const ending = await Promise.race([signalled, node.restarting, started.then(() => new Promise<never>(() => {}))]);
		logger.info({ event: 'ending', why: ending });
		return ending;
	} finally {
		notifier.stopping();
		await node.close();
	}
}

/** The rooms of one control plane, and how they are joined. */
class ControlPlane {
	readonly restarting: Promise<Ending>;
	readonly #version = readVersion();
	readonly #closers: (() => unknown)[] = [];
	readonly #metrics: Metrics;
	readonly #statuses = new Statuses();
	readonly #standing: Standing;
	readonly #configuration: ConfigurationFile;
	readonly #supervisor: Supervisor;
	readonly #certificates: Certificates;
	readonly #audit: Audit;
	readonly #disk: DiskSpace;
	readonly #workersStarted: Promise<void>;
	#fleet: Fleet | null = null;
	#reload: Reload | null = null;
	#server: Server | null = null;
	#startWorkersOver: (outcome: Promise<void>) => void = () => undefined;
	#restart: (ending: Ending) => void = () => undefined;

	constructor(private readonly surroundings: Surroundings) {
		const { config, underSystemd, logger } = surroundings;
		this.#metrics = createMetrics(this.#version);
		this.#configuration = new ConfigurationFile(surroundings);
		this.restarting = new Promise((resolve) => {
			this.#restart = resolve;
		});
		this.#workersStarted = new Promise((resolve) => {
			this.#startWorkersOver = resolve;
		});
		this.#supervisor = createSupervisor({
			apps: wantedApps(config, underSystemd),
			workerDir: config.worker_dir,
			stateDir: config.state_dir,
			mode: underSystemd ? 'systemd' : 'own',
			logLimits: { maxSizeBytes: config.logging.max_size, keep: config.logging.keep },
			lbWaitMs: config.rollout.lb_wait,
			logger: logger.child({ room: 'workers' }),
		});
		this.#standing = new Standing(this.#statuses, () => this.#supervisor.readiness());
		this.#certificates = new Certificates(config, logger.child({ room: 'certificates' }));
		this.#closers.push(() => this.#certificates.close());
		this.#audit = openAudit(config.state_dir, logger.child({ room: 'server' }));
		this.#closers.push(() => this.#audit.close());
		this.#disk = new DiskSpace(writtenFolders(config), logger.child({ room: 'disk' }));
		this.#closers.push(() => this.#disk.close());
	}

	get addresses(): Partial<Server['addresses']> {
		return this.#server?.addresses ?? {};
	}

	/** Opens the records and every listener, before a peer or a worker is touched: a port that is taken leaves nothing half-started. */
	async open(): Promise<void> {
		const { config, environment } = this.surroundings;
		const access = await openAccess({
			stateDir: config.state_dir,
			admin: { username: environment['ROLLCALL_ADMIN_USERNAME'], password: environment['ROLLCALL_ADMIN_PASSWORD'] },
		});
		this.#closers.push(() => this.#supervisor.detach());
		const fleet = await this.#openFleet();
		const system = this.#openSystem(fleet, access);
		observe({ fleet, supervisor: this.#supervisor, metrics: this.#metrics, logger: this.surroundings.logger });
		this.#server = await this.#openServer(fleet, access, system);
		void this.#disk.look();
		// Every address is taken: only from here on does this start count as a boot, and peers hear of it.
		await fleet.begin();
		await this.#configuration.accepted(this.surroundings.config.source);
		this.#watch();
		this.#tellStatus(fleet);
		const webhooks = openWebhooks(this.surroundings.config, fleet, this.surroundings.logger);
		this.#closers.push(() => webhooks.close());
		this.#reloadOnHangup(fleet);
	}

	/** Resolves when every app had its first chance. */
	async start(): Promise<void> {
		const started = this.#supervisor.start();
		this.#startWorkersOver(started);
		await started;
		this.#standing.started = true;
		this.#standing.emit('changed');
	}

	/** In the reverse order of opening; one room that does not close cleanly does not keep the others open. */
	async close(): Promise<void> {
		for (const close of this.#closers.reverse()) {
			try {
				await close();
			} catch (error) {
				this.surroundings.logger.error({ event: 'close_failed', err: error });
			}
		}
	}

	async #openFleet(): Promise<OpenedFleet> {
		const { config, underSystemd, logger } = this.surroundings;
		const local = createLocalNode({
			supervisor: this.#supervisor,
			workerDir: config.worker_dir,
			status: () => detailsOf(this.#readiness(), this.#facts()),
			standing: this.#standing,
			started: this.#workersStarted,
			boot: () => this.#fleet?.clusterStatus().boot ?? 0,
			appsOf: (read) => wantedApps(read, underSystemd),
			hooks: { node: config.node.name, hooks: config.rollout.hooks },
			configuration: this.#configuration,
			audit: this.#audit,
			restartInstance: () => void this.#restartInstance(),
		});
		const fleet = await openFleet({
			config,
			stateDir: config.state_dir,
			version: this.#version,
			local,
			readConfig: async () => {
				const fresh = this.#configuration.read();
				await this.#server?.checkCertificate();
				return fresh;
			},
			onApplied: ({ cluster, tlsFiles, source }) => {
				this.#certificates.clusterUses(tlsFiles, cluster?.tls ?? null);
				void this.#renewHttpCertificate();
				// At the start it is in force only once every address is taken, too.
				if (this.#server && source) void this.#configuration.accepted(source);
			},
			logger: logger.child({ room: 'fleet' }),
		});
		this.#fleet = fleet;
		this.#closers.push(() => fleet.close());
		return fleet;
	}

	#openSystem(fleet: Fleet, { users, apiTokens }: Access): SystemInformation {
		const supervisor = this.#supervisor;
		const system = createSystemInformation(
			{
				processes: () => ({
					daemon: process.pid,
					hosts: supervisor.hosts().map(({ pid }) => pid),
					workers: supervisor.rows().flatMap(({ pid }) => (pid === null ? [] : [pid])),
				}),
				stores: () => [...fleet.stores(), users.store(), apiTokens.store(), supervisor.store()],
				threads: () => supervisor.threads(),
				replication: () => fleet.replication(),
				metrics: () => this.#metrics.snapshot(),
			},
			{ onFault: (what, reason) => this.surroundings.logger.warn({ event: 'system_fact_missing', what, reason }) },
		);
		this.#metrics.observe({
			workers: () => supervisor.rows(),
			apps: () => supervisor.readiness(),
			links: () => fleet.replication(),
			ready: () => this.#readiness().ready,
			certificates: () => this.#certificates.inUse(),
			rollout: () => currentRollout(fleet),
		});
		this.#closers.push(() => system.close());
		return system;
	}

	async #openServer(fleet: Fleet, access: Access, system: SystemInformation): Promise<Server> {
		const { config, environment, logger } = this.surroundings;
		ensureFolder(config.runtime_dir, 0o755, 'runtime_dir');
		const [socketDescriptor] = inheritedListeners(environment).get('rollcall.socket') ?? [];
		const server = await createServer({
			settings: config.operations_api,
			...(socketDescriptor === undefined ? {} : { socketDescriptor }),
			node: { ...access, fleet, workers: this.#supervisor, statuses: this.#statuses, audit: this.#audit, system },
			logins: access.logins,
			audit: this.#audit,
			readiness: () => this.#facts(),
			metrics: () => this.#metrics.text(),
			observe: ({ operation, status, ms }) => this.#metrics.operation(operation ?? 'unknown', status, ms / 1000),
			logger: logger.child({ room: 'server' }),
			version: this.#version,
		});
		this.#closers.push(() => server.close());
		return server;
	}

	/** `restart` of the instance: leaves readiness, drains the workers, then stops everything. */
	async #restartInstance(): Promise<void> {
		const { config, logger } = this.surroundings;
		this.#standing.drain();
		await delay(config.rollout.lb_wait);
		try {
			await this.#supervisor.shutdown();
		} catch (error) {
			logger.error({ event: 'shutdown_failed', err: error });
		}
		this.#restart('restart');
	}

	/** If the new one cannot be used, the old one stays in use. */
	async #renewHttpCertificate(): Promise<void> {
		const { logger } = this.surroundings;
		try {
			const pem = (await this.#server?.renewCertificate()) ?? null;
			if (pem === null) return;
			this.#certificates.httpUses(pem);
			logger.info({ event: 'http_certificate_taken_up' }, 'HTTP presents the certificate of its file from now on');
		} catch (error) {
			logger.error({ event: 'http_certificate_refused', reason: messageOf(error) }, 'the old certificate stays');
		}
	}

	#reloadOnHangup(fleet: Fleet): void {
		const { logger, notifier } = this.surroundings;
		const reload = new Reload({
			fleet,
			logger,
			notifier,
			changed: () => this.#standing.emit('changed'),
			ended: (outcome) => this.#audit.recordSignal('SIGHUP', 'reload', outcome),
		});
		const onHangup = (): void => reload.ask();
		process.on('SIGHUP', onHangup);
		this.#reload = reload;
		this.#closers.push(() => process.removeListener('SIGHUP', onHangup));
		this.#closers.push(() => reload.close());
	}

	#facts(): ReadinessFacts {
		const notes = [
			this.#configuration.note(),
			...this.#certificates.notes(),
			...this.#disk.notes(),
			this.#fleet?.complaint() ?? null,
			this.#reload?.note() ?? null,
			this.#audit.note(),
		];
		const facts = this.#standing.facts(notes.filter((note) => note !== null));
		const supervisor = this.#supervisor;
		return { ...facts, releases: () => releasesOf(supervisor.rows()), pins: () => supervisor.pins() };
	}

	#readiness(): ReadinessReport {
		const report = judgeReadiness(this.#facts(), null);
		if (report === null) throw new RollcallError('internal', 'The node itself has no readiness.');
		return report;
	}

	/** The line that `systemctl status` shows. */
	#tellStatus(fleet: Fleet): void {
		const { environment, notifier } = this.surroundings;
		if (!environment['NOTIFY_SOCKET']) return;
		const line = (): string => statusLine(this.#readiness(), fleet, this.#configuration.standsIn);
		const around = [this.#standing, this.#configuration];
		tellStatusLine({ fleet, supervisor: this.#supervisor, around }, line, (text) => notifier.status(text));
	}

	/** systemd's watchdog is fed by the event loop, the admin socket and the record file; never by peers or workers. */
	#watch(): void {
		const { config, logger, notifier } = this.surroundings;
		if (notifier.watchdogIntervalMs === null) return;
		const watchdog = startWatchdog({
			intervalMs: notifier.watchdogIntervalMs,
			vitalSigns: [socketAnswers(config.operations_api.socket.path), storageAnswers(config.state_dir)],
			feed: () => notifier.watchdog(),
			onTrouble: (name, reason) => logger.error({ event: 'vital_sign_lost', name, reason }),
			onRecovery: (name) => logger.info({ event: 'vital_sign_back', name }),
		});
		this.#closers.push(() => watchdog.stop());
	}
}

function readVersion(): string {
	const description = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
	return (JSON.parse(description) as { version: string }).version;
}

/** Under systemd each worker host is the unit of one user, also that of the apps without one. */
function wantedApps(config: LoadedConfig, underSystemd: boolean): WorkerApp[] {
	const apps = toWorkerApps(config);
	return underSystemd ? apps.map((app) => ({ ...app, user: app.user ?? appUserDefault })) : apps;
}
