import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RollcallError } from '../../errors.js';
import { findHolder, nameHolder } from '../../system/files/process-lock.js';
import { hostEnvironment } from './environment.js';
import { type HostSettings, writeHostSettings } from './host-settings.js';
import { type HostHome, makeHome } from '../pm2/home.js';

/** The command line that runs a worker host by what this control plane knows: a configuration takes half of its start to load. */
export function hostCommand(settings: HostSettings): string[] {
	const main = fileURLToPath(new URL('../../main.js', import.meta.url));
	return [process.execPath, main, 'worker-host', '--settings', writeHostSettings(settings)];
}

/**
 * Starts a worker host that outlives this process, unless the home has one: the lock decides, so two starters at once still
 * make one host. Resolves to its process id when it was started, null when one was found; whether it answers is seen by connecting. Its own output goes to its log.
 */
export async function startOwnHost(home: HostHome, command: readonly string[]): Promise<number | null> {
	makeHome(home);
	if (await findHolder(home.lock)) return null;
	const [program, ...args] = command;
	if (program === undefined) throw new RollcallError('internal', 'There is no command that runs a worker host.');
	const log = openSync(home.hostLog, 'a', 0o600);
	try {
		const child = spawn(program, args, {
			detached: true,
			cwd: home.path,
			env: hostEnvironment(home.path, process.env),
			stdio: ['ignore', log, log],
		});
		await new Promise<void>((resolve, reject) => {
			child.once('spawn', resolve);
			child.once('error', (cause) =>
				reject(
					new RollcallError('unavailable', `The worker host could not be started: ${cause.message}`, {}, { cause }),
				),
			);
		});
		child.unref();
		if (child.pid === undefined) return null;
		nameHolder(home.lock, child.pid, { home: home.path });
		return child.pid;
	} finally {
		closeSync(log);
	}
}
