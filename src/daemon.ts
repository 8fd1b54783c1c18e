/**
 * Composition root of the control plane: builds the rooms, starts them in order, stops them in reverse, and hands one
 * room's functions to another. No rule of the project stands here.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toWorkerApps } from './config/apps.js';
import { isUnderSystemd, type LoadedConfig, loadConfig } from './config/load.js';
import { ensureFolder } from './daemon/folders.js';
import { createLocalNode } from './daemon/local-node.js';
import { spawnSuccessor } from './daemon/successor.js';
import { observe } from './daemon/observe.js';
import { createFleet } from './fleet/fleet.js';
import { acquireLock } from './lock.js';
import { createLogger, type Logger } from './log.js';
import { Statuses } from './operations/statuses.js';
import { openAccess } from './server/access.js';
import { createServer } from './server/server.js';
import { createSystemInformation } from './system/information.js';
import { createMetrics } from './system/metrics.js';
import { createSupervisor } from './workers/supervisor.js';

/** Why a daemon ends by its own will. */
type Ending = 'stop' | 'restart';

interface Start {
	config: LoadedConfig;
	/** The environment that the process was started with, secrets included: for reading the configuration again and for a successor. */
	environment: NodeJS.ProcessEnv;
	logger: Logger;
}

/** Runs the control plane in the foreground; resolves when it has ended by a signal or by `restart`. */
export async function runDaemon({ configFile }: { configFile: string }): Promise<void> {
	const environment = { ...process.env };
	const config = loadConfig({ file: configFile, env: environment });
	forgetOwnVariables();
	const logger = createLogger(config.logging.level, { node: config.node.name });
	process.umask(0o077);
	ensureFolder(config.state_dir, 0o700, 'state_dir');
	const lock = await acquireLock(join(config.state_dir, 'lock'), { node: config.node.name });
	let ending: Ending;
	try {
		ending = await runNode({ config, environment, logger });
	} finally {
		lock.release();
	}
	if (ending === 'restart' && !isUnderSystemd(environment)) spawnSuccessor(environment);
}

/** What configures the daemon, its secrets above all, is nothing that a child process should ever see. */
function forgetOwnVariables(): void {
	for (const name of Object.keys(process.env)) if (name.startsWith('ROLLCALL_')) delete process.env[name];
}

/** Opens every listener before it touches a worker, so that a port that is taken leaves nothing half-started. */
async function runNode({ config, environment, logger }: Start): Promise<Ending> {
	const closers: (() => Promise<unknown>)[] = [];
	const ending = Promise.withResolvers<Ending>();
	const version = readVersion();
	const startedAt = performance.now();
	let draining = false;
	let started = false;
	const startOver = Promise.withResolvers<void>();
	try {
		const statuses = new Statuses();
		const metrics = createMetrics(version);
		const access = await openAccess({
			stateDir: config.state_dir,
			admin: { username: environment['ROLLCALL_ADMIN_USERNAME'], password: environment['ROLLCALL_ADMIN_PASSWORD'] },
		});
		const supervisor = createSupervisor({ config });
		...
	} finally {
		for (const close of closers.reverse()) await close().catch((error) => logger.error({ event: 'close_failed', err: error }));
	}
}
